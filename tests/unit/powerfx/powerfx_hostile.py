"""Makes expressions that try to cost too much. The same seed gives the same expressions."""

from __future__ import annotations

import random
from collections.abc import Callable

_ATOMS = ["1", '"a"', "true", "Blank()", "job.X", "1/0", "[1,2,3]", "{a:1}", '"x" & "y"', "10^10^10", "Date(1,1,1)"]
_PATTERNS = [
    "(a+)+$", "(a|a)*b", "(a|aa)+$", "(.*)*x", "((a*)*)*b", "a{1000}{1000}", "(a?){500}a{500}", "(x+x+)+y",
    "([a-zA-Z]+)*$", "^(([a-z])+.)+[A-Z]([a-z])+$", "(?=a)b", r"(a)\1", "((((((((a+)+)+)+)+)+)+)+)+", "[a-z]{900}",
    "(.{1,900}){1,900}", r"\p{L}{800}", "a" * 900, "(" * 400, "[" * 400, "|" * 800, "(a|b)*a(a|b){900}", "[ab]*a[ab]{200}c", r"\w{500}", r"[\w.]{1,64}@[\w.]{1,64}",
]  # fmt: skip


def _nested(r: random.Random) -> str:
    depth = r.choice([10, 50, 100, 500, 2000])
    opening, closing = r.choice(
        [("(", ")"), ("[", "]"), ("{a:", "}"), ("Not(", ")"), ("If(true,", ")"), ("-", ""), ("!", ""), ('$"{', '}"'),
         ("Table(", ")"), ("Abs(", ")"), ("With({a:1},", ")"), ("ForAll([1,2],", ")"), ("1+(", ")"), ("1^", "")]
    )  # fmt: skip
    return opening * depth + r.choice(_ATOMS) + closing * depth


def _chain(r: random.Random) -> str:
    operator = r.choice(["+", "-", "*", "/", "^", "&", "&&", "||", "=", "<", " in ", "%+", "."])
    return operator.join(r.choice(_ATOMS) for _ in range(r.choice([50, 500, 3000])))


def _loops(r: random.Random) -> str:
    size = r.choice([100, 5_000, 50_000, 10**9])
    body = r.choice(["Value", "Value*Value", "Text(Value)", "1/0", f"Sum(Sequence({size}),Value)", '"aaaaaaaa"'])
    for _ in range(r.randint(1, 5)):
        outer = r.choice(["ForAll(Sequence({0}),{1})", "Filter(Sequence({0}),IsBlank({1}))", "Sum(Sequence({0}),{2})",
                          "Concat(Sequence({0}),{2})", "Sort(Sequence({0}),{2})", "CountIf(Sequence({0}),IsError({1}))",
                          "Distinct(Sequence({0}),{2})", "LookUp(Sequence({0}),IsBlank({1}))"])  # fmt: skip
        body = outer.format(size, body, "Value" if r.random() < 0.5 else "1")
    return body


def _long_texts(r: random.Random) -> str:
    text = '"' + "ab" * r.choice([10, 1000, 3000]) + '"'
    for _ in range(r.randint(1, 8)):
        text = r.choice(
            ['Substitute({0},"a","{1}")', "With({{t:{0}}},t&t&t&t&t&t&t&t)", 'Concat(Sequence(5000),"{1}")&{0}',
             "Replace({0},1,1,{0})", 'Concat(Split({0},""),Value&"{1}")', "JSON({0})", "EncodeUrl({0})", "Upper({0})",
             "Trim({0})", "Proper({0})", 'Find("{1}",{0})', '"{1}" in {0}', "Len({0})", "Left({0},10^8)"]
        ).format(text if len(text) < 4000 else '"ab"', "b" * r.choice([1, 50, 500]))  # fmt: skip
    return text


def _numbers(r: random.Random) -> str:
    number = r.choice(["10^10^10", "9" * 300, "1e999999999", '"1e999999"', "79228162514264337593543950335", "0.1^999",
                       'Value("1e-999999")', 'ParseJSON("1e-99999999")', 'ParseJSON("1e999999")', "-1e-28"])  # fmt: skip
    return r.choice(["Exp({0})", "Power({0},{0})", "Round({0},{0})", "Text({0})", 'Text({0},"{1}")', "Mod({0},1e-28)",
                     "DateAdd(Date(2000,1,1),{0})", "Date({0},{0},{0})", "Sequence({0})", "Char({0})", "Left(\"a\",{0})",
                     "Time({0},{0},{0})", "JSON({0})", "{0}*{0}", "Decimal({0})", "Float({0})"]).format(
        number, "0" * r.choice([1, 300, 3000])
    )  # fmt: skip


def _patterns(r: random.Random) -> str:
    text = r.choice(
        [
            '"' + "a" * 4000 + '"',
            'Concat(Sequence(8000),"aaaaaaaaaaa")',
            'Concat(Sequence(900),"ab!")',
            'Concat(Sequence(20000),If(Mod(Value*Value,7)>3,"a","b"))',
            '"é" & Concat(Sequence(9000),"ab")',
        ]
    )
    options = r.choice(["", ",MatchOptions.Contains", ",MatchOptions.Contains & MatchOptions.NumberedSubMatches",
                        ",MatchOptions.IgnoreCase", ",MatchOptions.FreeSpacing"])  # fmt: skip
    call = f'{r.choice(["IsMatch", "Match"])}({text},"{r.choice(_PATTERNS)}"{options})'
    return call if r.random() < 0.7 else f"CountIf(Sequence(50000),IsBlank({call}))"


def _json(r: random.Random) -> str:
    inner = r.choice(["[" * 1000 + "]" * 1000, "{" * 500, "1" * 5000, '[1,2,3,"' + "x" * 3000 + '"]', "[[[[[[[[[1]]]]]]]]]",
                      '{"a":' * 30 + "1" + "}" * 30]).replace('"', '""')  # fmt: skip
    call = f'ParseJSON("{inner}")'
    return r.choice(["{0}", "JSON({0})", "Text({0})", "ForAll({0},ThisRecord)", "JSON(JSON(JSON({0})))",
                     "ForAll(Sequence(5000),{0})", "Table({0})"]).format(call)  # fmt: skip


def _rubbish(r: random.Random) -> str:
    alphabet = "abc 123 \"'{}[](),.:;+-*/^%&|<>=!$@#~\\\n\t\x00éαß🎉 If( And Or Not in exactin As"
    return "".join(r.choice(alphabet) for _ in range(r.choice([5, 50, 500, 5000])))


def _long_comments(r: random.Random) -> str:
    return r.choice(["/*", "//", '"', "'", '$"', "/*" + "*" * 5000]) * r.choice([1, 100, 1500]) + "1"


_KINDS: list[Callable[[random.Random], str]] = [
    _nested, _chain, _loops, _long_texts, _numbers, _patterns, _json, _rubbish, _long_comments,
]  # fmt: skip


def expressions(seed: int, count: int) -> list[str]:
    r = random.Random(seed)
    return [r.choice(_KINDS)(r) for _ in range(count)]
