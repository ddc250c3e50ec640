"""Regular expressions: from the dialect of Power Fx (that of .NET, less its traps) to RE2.

RE2 runs in time linear in the text. What it cannot do - look-around, back references, atomic
groups - is refused when the expression is compiled.

The letters of all alphabets make large programs. Most texts are plain ASCII, and for them a pattern has
a second, small program, in which `\\w` is `[0-9A-Za-z_]`; the large one is made with the first other text.

A program grows while it searches, up to the memory that it is given, and holds the interpreter while it is made. So
its memory is small, all programs have theirs from one store, and a pattern whose program has gone makes it anew.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from router.rules.powerfx.cache import CompiledCache
from router.rules.powerfx.limits import Budget

_LONGEST: Final = 1_000
#: Some 10,000 instructions; they take some 10 ms to make.
_MEMORY: Final = 1 << 18
#: Most find room in the first, some 40,000 instructions; no pattern gets more than the last.
_MEMORY_FOR_ALL_LETTERS: Final = (1 << 20, 1 << 22)
#: Of all programs that a process keeps.
MOST_MEMORY: Final = 48 << 20
#: To make a program for all letters: a step for each of its instructions, so many at least and at most.
_STEPS_TO_COMPILE: Final = (1_000, 100_000)
#: To make the program for plain texts anew.
_STEPS_TO_COMPILE_PLAIN: Final = 50
#: What an instruction takes while a program is made that then is too large.
_MEMORY_A_PART: Final = 64
#: A pause after a program for all letters, for each of its instructions: as long as it has held the interpreter.
_PAUSE_SECONDS: Final = 1e-6
_ANY: Final = r"[^\n\r\v\f\x{85}\x{2028}\x{2029}]"
_ALL: Final = {"d": r"\p{Nd}", "w": r"\p{L}\p{Mn}\p{Nd}\p{Pc}", "s": r"\t\n\v\f\r\x{85}\p{Z}"}
_ASCII: Final = {"d": "0-9", "w": "0-9A-Za-z_", "s": r"\t\n\v\f\r "}
_ASCII_CATEGORIES: Final = {"L": "A-Za-z", "Lu": "A-Z", "Ll": "a-z", "N": "0-9", "Nd": "0-9"}
_QUANTIFIER = re.compile(r"[*+?]\??|\{\d+\}|\{\d+,\d*\}\??")
_ESCAPABLE: Final = frozenset("^$\\.*+?()[]{}|/# ")
_ESCAPABLE_IN_CLASS: Final = _ESCAPABLE | frozenset("&-!%,;:<=>@`~")
_TO_ESCAPE_IN_CLASS: Final = frozenset("/|{}()[^")
_REFUSED_IN_CLASS: Final = re.compile(r"([<=>:@`~%&;,!#$*+.?])\1")  # other dialects read set operations there
_GROUP = re.compile(r"\(\?(?:(?P<plain>:)|P?<(?P<name>[^\W\d]\w*)>|(?P<flags>[imsxn]*(?:-[imsxn]+)?)(?P<end>[:)]))")
_HEX = re.compile(r"x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|u\{([0-9a-fA-F]{1,6})\}")
_CATEGORY = re.compile(r"([pP])\{(\w+)\}")


class PatternError(ValueError):
    """The pattern is not valid, or RE2 cannot do what it asks for."""


#: By pattern, its options, and whether it is for plain texts; with the memory that each may grow to.
PROGRAMS: Final[CompiledCache[Any]] = CompiledCache(MOST_MEMORY)


class Pattern:
    """A pattern that has been compiled, and its groups."""

    def __init__(self, source: str, options: str) -> None:
        self.source = source
        self.options = options
        self.is_numbered = "N" in options
        translator = _Translator(source, options, ascii_only=True)
        plain = _compiled(translator, options, _MEMORY)
        self.names = tuple(translator.names)
        self.numbered = translator.count
        self.cost = int(plain.programsize)
        #: Why there is no program for all letters.
        self._without_full: str | None = None
        self._plain_key, self._full_key = (source, options, True), (source, options, False)
        PROGRAMS.put(self._plain_key, plain, _MEMORY)

    def search(self, text: str, budget: Budget) -> Any:
        """The first match or None, paid for by the length of the text and of the program."""
        return self._paid(text, budget).search(text)

    def search_all(self, text: str, budget: Budget) -> Any:
        """All matches, one after the other."""
        return self._paid(text, budget).finditer(text)

    def _paid(self, text: str, budget: Budget) -> Any:
        program = self._full(budget) if not text.isascii() else self._plain(budget)
        budget.spend(1 + ((len(text) * int(program.programsize)) >> 7))
        return program

    def _plain(self, budget: Budget) -> Any:
        program = PROGRAMS.get(self._plain_key)
        if program is None:
            budget.spend(_STEPS_TO_COMPILE_PLAIN + self.cost)
            translator = _Translator(self.source, self.options, ascii_only=True)
            program = _compiled(translator, self.options, _MEMORY)
            PROGRAMS.put(self._plain_key, program, _MEMORY)
        return program

    def _full(self, budget: Budget) -> Any:
        program = PROGRAMS.get(self._full_key)
        if program is None:
            if self._without_full is not None:
                raise PatternError(self._without_full)
            least, most = _STEPS_TO_COMPILE
            budget.spend(most)
            program, memory = self._made_full(budget)
            budget.left += most - min(max(int(program.programsize), least), most)
            PROGRAMS.put(self._full_key, program, memory)
        return program

    def _made_full(self, budget: Budget) -> tuple[Any, int]:
        """The program for all letters, and the memory that it may have."""
        for memory in _MEMORY_FOR_ALL_LETTERS:
            translator = _Translator(self.source, self.options, ascii_only=False)
            try:
                program = _compiled(translator, self.options, memory)
            except PatternError as problem:
                _pause(budget, memory // _MEMORY_A_PART)
                if memory == _MEMORY_FOR_ALL_LETTERS[-1]:
                    self._without_full = str(problem)
                    raise
            else:
                _pause(budget, int(program.programsize))
                return program, memory
        raise AssertionError("unreachable")


def _pause(budget: Budget, size: int) -> None:
    """After a program of this size has been made, which held the interpreter all the while."""
    if budget.limits.pause is not None:
        budget.limits.pause(_PAUSE_SECONDS * size)


@dataclass(slots=True)
class _Group:
    captures: bool
    start: int
    ambiguous: bool = False  # holds a quantifier that may match nothing


class _Translator:
    """Walks through a pattern once."""

    def __init__(self, pattern: str, options: str, *, ascii_only: bool) -> None:
        self.source = pattern
        self.ascii_only = ascii_only
        self.classes = _ASCII if ascii_only else _ALL
        self.dot_all = "s" in options
        self.free = "x" in options
        self.numbered = "N" in options
        self.names: list[str] = []
        self.groups: list[_Group] = []
        self.count = 0
        self.out: list[str] = []
        self.after_atom = False

    def translate(self) -> str:
        position, source = 0, self.source
        while position < len(source):
            position = self.step(position)
        if self.groups:
            raise PatternError("a group is not closed")
        return "".join(self.out)

    def step(self, i: int) -> int:
        char = self.source[i]
        if self.free and (char.isspace() or char == "#"):
            return self.skip(i)
        quantifier = _QUANTIFIER.match(self.source, i)
        if quantifier:
            return self.quantify(quantifier)
        if char not in "^$" and self.source[i : i + 2] not in ("\\b", "\\B"):  # a quantifier looks past an anchor
            self.after_atom = True
        if char == "\\":
            return self.escape(i + 1, None)
        if char == "[":
            return self.char_class(i)
        if char == "(":
            return self.open(i)
        if char == ")":
            return self.close(i)
        self.closed = None
        if char in "{}]":
            raise PatternError(f"'{char}' has to be written as \\{char}")
        if char == "|":
            self.after_atom = False
        if char == "." and not self.dot_all:
            self.out.append(_ANY)
        else:
            self.out.append(char)
        return i + 1

    def skip(self, i: int) -> int:
        if self.source[i] != "#":
            return i + 1
        end = re.compile(r"[\r\n]").search(self.source, i)
        return end.end() if end else len(self.source)

    def mark_ambiguous(self) -> None:
        for group in self.groups:
            group.ambiguous = True

    def quantify(self, match: re.Match[str]) -> int:
        if not self.after_atom:
            raise PatternError("a quantifier has nothing to repeat")
        closed = self.closed
        if closed is not None and closed.captures and closed.ambiguous:
            raise PatternError("a repeated capture group holds a quantifier or an alternation")
        if match.group()[0] in "*?" or match.group().startswith("{0"):
            self.mark_ambiguous()
        self.out.append(match.group())
        self.after_atom = False
        self.closed = None
        return match.end()

    closed: _Group | None = None

    def open(self, i: int) -> int:
        self.closed = None
        self.after_atom = False
        if self.source.startswith("(?#", i):
            end = self.source.find(")", i)
            if end < 0:
                raise PatternError("a comment is not closed")
            return end + 1
        if not self.source.startswith("(?", i):
            if self.numbered:
                self.count += 1
            self.groups.append(_Group(self.numbered, len(self.out)))
            self.out.append("(" if self.numbered else "(?:")
            return i + 1
        match = _GROUP.match(self.source, i)
        if match is None:
            raise PatternError("look-around, conditions and atomic groups are not supported")
        if match["name"]:
            if match["name"] in self.names:
                raise PatternError(f"the group '{match['name']}' is named twice")
            self.names.append(match["name"])
            self.groups.append(_Group(True, len(self.out)))
            self.out.append(f"(?P<{match['name']}>" if match["name"].isascii() else "(")
            if not match["name"].isascii():
                raise PatternError("a group's name has to be of plain letters")
        elif match["plain"]:
            self.groups.append(_Group(False, len(self.out)))
            self.out.append("(?:")
        else:
            self.flags(match, i)
        return match.end()

    def flags(self, match: re.Match[str], i: int) -> None:
        if match["end"] == ":" or i > 0 or "-" in match["flags"]:
            raise PatternError("options within a pattern are allowed at its beginning only")
        self.dot_all = self.dot_all or "s" in match["flags"]
        self.free = self.free or "x" in match["flags"]
        kept = "".join(flag for flag in match["flags"] if flag in "im")
        if kept:
            self.out.append(f"(?{kept})")

    def close(self, i: int) -> int:
        if not self.groups:
            raise PatternError("there is a ')' too many")
        self.closed = self.groups.pop()
        self.out.append(")")
        return i + 1

    def escape(self, i: int, members: list[str] | None) -> int:
        """One escape, at the character after the backslash; `members` collects those of a class."""
        self.closed = None
        if i >= len(self.source):
            raise PatternError("the pattern ends with a backslash")
        char = self.source[i]
        out = self.out if members is None else members
        code = _HEX.match(self.source, i)
        if code:
            out.append(f"\\x{{{code[1] or code[2] or code[3]}}}")
            return code.end()
        if char in "pP":
            return self.category(i, out, members is not None)
        if char in "dDwWsS":
            members_of = self.classes[char.lower()]
            if members is None:
                out.append(f"[{'^' if char.isupper() else ''}{members_of}]")
            elif char.islower():
                out.append(members_of)
            elif char == "D":
                out.append(r"\x{0}-/:-\x{10ffff}" if self.ascii_only else r"\P{Nd}")
            else:
                raise PatternError(f"\\{char} is not supported within [...]")
            return i + 1
        if char in "tnrf" or (members is None and char in "bB"):
            out.append("\\" + char)
            return i + 1
        if char not in (_ESCAPABLE if members is None else _ESCAPABLE_IN_CLASS):
            raise PatternError(f"\\{char} is not supported")
        out.append("\\" + char if char.isascii() and not char.isspace() and char != "_" else char)
        return i + 1

    def category(self, i: int, out: list[str], inside: bool) -> int:
        match = _CATEGORY.match(self.source, i)
        if match is None:
            raise PatternError("a category is written as \\p{L}")
        letters = _ASCII_CATEGORIES.get(match[2]) if self.ascii_only else None
        if letters is None or (inside and match[1] == "P"):
            out.append("\\" + match.group())
        elif inside:
            out.append(letters)
        else:
            out.append(f"[{'^' if match[1] == 'P' else ''}{letters}]")
        return match.end()

    def char_class(self, i: int) -> int:
        self.closed = None
        members = ["["]
        i += 1
        if self.source.startswith("^", i):
            members.append("^")
            i += 1
        first, single, ranged = i, False, 0  # `single`: a character before; `ranged`: how many are left of a range
        while i < len(self.source):
            char = self.source[i]
            if char == "]":
                if i == first or ranged > 1:
                    raise PatternError("a class is empty, or ends in a hyphen")
                self.out.append("".join(members) + "]")
                return i + 1
            if char in _TO_ESCAPE_IN_CLASS or _REFUSED_IN_CLASS.match(self.source, i):
                raise PatternError(f"within [...] '{char}' has to be written as \\{char}")
            if char == "-":
                if not single or ranged > 0:
                    raise PatternError("a hyphen within [...] is written as \\- where it is no range")
                members.append("-")
                ranged, i = 2, i + 1
                continue
            single = not (char == "\\" and self.source[i + 1 : i + 2] in tuple("dDwWsSpP"))
            if ranged > 1 and not single:
                raise PatternError("a range goes from one character to another")
            ranged -= 1
            if char == "\\":
                i = self.escape(i + 1, members)
            else:
                members.append("\\" + char if char in "&~" else char)
                i += 1
        raise PatternError("a class is not closed")


def _anchored(pattern: str, options: str) -> str:
    begins = options.find("^c") >= 0
    ends = options.find("c$") >= 0
    return ("^" if begins else "") + f"(?:{pattern})" + ("$" if ends else "")


def _compiled(translator: _Translator, options: str, memory: int) -> Any:
    import re2

    body = translator.translate()
    if translator.numbered and translator.names:
        raise PatternError("named groups do not mix with MatchOptions.NumberedSubMatches")
    settings = re2.Options()
    settings.max_mem = memory
    settings.log_errors = False
    flags = ("i" if "i" in options else "") + ("m" if "m" in options else "") + ("s" if translator.dot_all else "")
    leading = re.match(r"\(\?[im]+\)", body)
    inline = leading.group() if leading else ""
    text = inline + (f"(?{flags})" if flags else "") + _anchored(body[len(inline) :], options)
    try:
        program = re2.compile(text, settings)
        re2.purge()  # the library would keep as many as it likes
        return program
    except re2.error as problem:
        reason = problem.args[0] if problem.args else problem
        raise PatternError(reason.decode() if isinstance(reason, bytes) else str(reason)) from None


@lru_cache(maxsize=256)
def compile_pattern(pattern: str, options: str) -> Pattern:
    """`options` are those of MatchOptions, joined: `^c$`, `c`, `i`, `m`, `s`, `x`, `N`."""
    if len(pattern) > _LONGEST:
        raise PatternError("the pattern is too long")
    return Pattern(pattern, options)
