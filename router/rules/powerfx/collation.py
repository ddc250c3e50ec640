"""The order of texts, as in a dictionary: by letters first, then by accents, then by case.

It is the root order of Unicode for what labels hold: white space, punctuation, symbols, digits, Latin letters,
then those of other alphabets by their code points. A whole table of it, and a library to read it, would take
8 MB and 0.6 s of each process that sorts.
"""

from __future__ import annotations

import unicodedata
from typing import Final

_SPACES: Final = "\t\n\v\f\r "
_PUNCTUATION: Final = "_-,;:!?.'\"()[]{}@*/\\&#%"
_SYMBOLS: Final = "`^+<=>|~"
# Letters that have no accent of their own to take off. One that follows a letter has \x7f behind that.
_LETTERS: Final = {
    "æ": "ae", "œ": "oe", "ß": "ss", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "ħ": "h", "ı": "i\x7f",
    "ŋ": "n\x7f", "ŧ": "t\x7f", "þ": "z\x7f",
}  # fmt: skip
_STROKES: Final = frozenset("đðħøł")  # beside the letter without it only an accent
_GROUPS: Final = {"Z": "\x08", "P": "\x30", "S": "\x40", "N": "\x5a", "L": "\x7b"}
_ASCII: Final = {
    **dict.fromkeys([*range(9), *range(14, 32), 127], ""),
    **{ord(char): chr(0x01 + place) for place, char in enumerate(_SPACES)},
    **{ord(char): chr(0x10 + place) for place, char in enumerate(_PUNCTUATION)},
    **{ord(char): chr(0x31 + place) for place, char in enumerate(_SYMBOLS)},
    ord("$"): "\x41$",
    **{ord(char): chr(0x50 + place) for place, char in enumerate("0123456789")},
    **{code: chr(code + 32) for code in range(ord("A"), ord("Z") + 1)},
}

Key = tuple[str, str, str, str]


def key(text: str) -> Key:
    """What a text is sorted by: its letters, their accents, their case."""
    if text.isascii():
        return text.translate(_ASCII), "", text.swapcase(), ""
    letters, accents = [], []
    for char in unicodedata.normalize("NFKD", text):
        if char.isascii():
            letters.append(char.translate(_ASCII))
            accents.append(" ")
            continue
        category = unicodedata.category(char)
        if category == "Mn":
            accents.append(char)
            continue
        small = char.lower()
        if category == "Nd":
            letters.append(chr(0x50 + unicodedata.digit(char)))
        elif small in _LETTERS:
            letters.append(_LETTERS[small])
            accents.append(small if small in _STROKES else "")
        else:
            letters.append("\x41" + char if category == "Sc" else _GROUPS.get(category[0], "") + small)
        accents.append(" ")
    return "".join(letters), "".join(accents).rstrip(), text.swapcase(), text
