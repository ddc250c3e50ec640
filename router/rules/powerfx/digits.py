"""Numbers in a custom format of .NET: digits, literals between them, groups, scaling, exponents, sections."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Final, NamedTuple

_WIDE: Final = Context(prec=1200, Emin=-999_999, Emax=999_999, traps=[])
_LONGEST_EXPONENT: Final = 10


class Token(NamedTuple):
    """A piece of a format. Kinds: digit (`0`, `#`), comma (groups or scales), point, percent, section (`;`),
    char (as it is), literal (quoted or escaped), comma literal, half (`AM/PM`), exponent (`E+00`)."""

    kind: str
    text: str


def sections(tokens: list[Token]) -> list[list[Token]]:
    made: list[list[Token]] = [[]]
    for token in tokens:
        if token.kind == "section":
            made.append([])
        else:
            made[-1].append(token)
    return made


def section_number(given: Sequence[object], sign: int) -> int:
    """Which section is for numbers of this sign. One that is missing or empty leaves them to the first."""
    wanted = (2, 0, 1)[sign]
    return wanted if wanted < len(given) and given[wanted] else 0


def _with_exponents(section: list[Token]) -> list[Token]:
    """`E0`, `E+0` and `E-00` as one token each."""
    made: list[Token] = []
    index = 0
    while index < len(section):
        token = section[index]
        if token.kind == "char" and token.text in "eE":
            end = index + 1
            if end < len(section) and section[end].text in ("+", "-") and section[end].kind == "char":
                end += 1
            start = end
            while end < len(section) and section[end] == ("digit", "0"):
                end += 1
            if end > start:
                token = Token("exponent", "".join(part.text for part in section[index:end]))
                index = end - 1
        made.append(token)
        index += 1
    return made


class Layout(NamedTuple):
    """What a section says of the digits."""

    tokens: list[Token]
    places: int  # digits in all
    before: int  # the point
    least_before: int
    least_after: int
    grouped: bool
    scale: int
    scientific: bool


def layout(section: list[Token]) -> Layout | None:
    if not section:
        return None
    tokens = _with_exponents(section)
    count, first, last, scale = 0, -1, 0, 0
    point = comma = -1
    commas, grouped, scientific = 0, False, False
    for token in tokens:
        if token.kind == "digit":
            if token.text == "0":
                first = count if first < 0 else first
                last = count + 1
            count += 1
        elif token.kind == "point":
            point = count if point < 0 else point
        elif token.kind == "comma" and count and point < 0:
            grouped = grouped or (comma >= 0 and comma != count)
            commas = commas + 1 if comma == count else 1
            comma = count
        elif token.kind == "percent":
            scale += 2
        elif token.kind == "exponent":
            scientific = True
    before = count if point < 0 else point
    if comma >= 0 and comma == before:
        scale -= 3 * commas
    elif comma >= 0:
        grouped = True
    least_before = before - first if 0 <= first < before else 0
    return Layout(tokens, count, before, least_before, max(last - before, 0), grouped, scale, scientific)


_EMPTY: Final = Layout([], 0, 0, 0, 0, False, 0, False)


def number_text(value: Decimal | float, layouts: Sequence[Layout | None]) -> str:
    """A number in a format that is valid, given by the layouts of its sections. A float shows 15 digits."""
    is_float = isinstance(value, float)
    exact = Decimal(f"{value:.15g}") if is_float else Decimal(value)
    negative = exact.is_signed() if is_float else exact < 0
    number = section_number(layouts, -1 if exact < 0 else int(exact > 0))
    layout = layouts[number] or _EMPTY
    if exact:
        shown, exponent = _rounded(exact.copy_abs(), layout)
        if not shown:
            negative = negative and is_float
            number = section_number(layouts, 0)
            layout = layouts[number] or _EMPTY
    else:
        shown, exponent = "", 0
    text = _laid_out(layout, shown, exponent)
    return "-" + text if negative and number == 0 and (text or exponent) else text


def _rounded(value: Decimal, layout: Layout) -> tuple[str, int]:
    """The digits that are shown, without zeros at the end, and where the point is: after how many of them."""
    value = _WIDE.scaleb(value, layout.scale)
    after = layout.places - layout.before
    if layout.scientific:
        after = layout.places - 1 - value.adjusted()
    value = value.quantize(Decimal(1).scaleb(-after), ROUND_HALF_UP, _WIDE)
    if not value:
        return "", 0
    return "".join(map(str, value.as_tuple().digits)).rstrip("0"), value.adjusted() + 1


def _laid_out(layout: Layout, shown: str, exponent: int) -> str:
    place = layout.before if layout.scientific else max(exponent, layout.before)  # digits before the point to come
    surplus = 0 if layout.scientific else exponent - layout.before
    longest = max(layout.least_before, place + min(surplus, 0))
    supply = iter(shown)
    left, made, point_made, scientific = len(shown), [], False, layout.scientific

    def put(digit: str) -> None:
        nonlocal place
        if digit:
            made.append(digit)
            if layout.grouped and 1 < place <= longest and place % 3 == 1:
                made.append(",")
        place -= 1

    for token in layout.tokens:
        kind = token.kind
        if kind in ("digit", "point"):
            while surplus > 0:
                put(next(supply, "0"))
                left = max(left - 1, 0)
                surplus -= 1
        if kind == "digit":
            if surplus < 0:
                surplus += 1
                put("0" if place <= layout.least_before else "")
            else:
                put(next(supply, "0" if place > -layout.least_after else ""))
                left = max(left - 1, 0)
        elif kind == "point":
            if place == 0 and not point_made and (layout.least_after or (layout.before < layout.places and left)):
                made.append(".")
                point_made = True
        elif kind == "exponent":
            made.append(_exponent(token.text, exponent - layout.before if shown else 0) if scientific else token.text)
            scientific = False
        elif kind != "comma":
            made.append(token.text)
    return "".join(made)


def _exponent(style: str, value: int) -> str:
    zeros = min(style.count("0"), _LONGEST_EXPONENT)
    sign = "-" if value < 0 else "+" if "+" in style else ""
    return f"{style[0]}{sign}{abs(value):0{zeros}d}"
