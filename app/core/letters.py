"""Plain letters: how names are compared whatever their case, accents and the dots of their i."""

import unicodedata

_NOT_DECOMPOSED = {"ı": "i", "ø": "o", "Ø": "o", "ł": "l", "Ł": "l", "đ": "d", "Đ": "d", "I": "i"}


def _plain(letter: str) -> str | None:
    """The ASCII letter under the accents, None when there is none."""
    base = unicodedata.normalize("NFD", letter)[0]
    return base.lower() if base != letter and base.isascii() and base.isalpha() else None


# Latin-1, Latin Extended-A and -B: what the names of European clubs are written in.
TABLE = {
    letter: plain for letter in map(chr, range(0xC0, 0x250)) if (plain := _plain(letter))
} | _NOT_DECOMPOSED
_TRANSLATION = str.maketrans(TABLE)


def fold(text: str) -> str:
    """Plain lower-case letters."""
    return text.translate(_TRANSLATION).lower()
