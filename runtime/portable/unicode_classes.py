r"""Unicode categories for regular expressions: letters, numbers, marks, punctuation, symbols and spaces.

Pretokenizers use Unicode categories (\p{L}, \p{N}, \p{M}), which Python's `re` lacks. Their expressions are matched
against a collapsed text of the same length, which keeps ASCII and has one character for all others of a category. The
classes below have that character and the ASCII characters of the category. Characters that are unknown to Python's
`unicodedata` are in none of them.
"""

from __future__ import annotations

import unicodedata
from typing import Final

__all__ = ["LETTER", "MARK", "NUMBER", "PUNCTUATION", "SPACE", "SYMBOL", "collapse", "normalize_spaces"]

# Contents of character classes, for use between brackets.
LETTER: Final = "A-Za-zª"
NUMBER: Final = "0-9²"
MARK: Final = "\u0300"
PUNCTUATION: Final = r"!-#%-*,-/:;?@\[-\]_{}¡"
SYMBOL: Final = r"$+<->^`|~¢"
SPACE: Final = r" \t\n\v\f\r"  # without the ASCII separators in re's \s, which are no whitespace in Unicode

_CATEGORY_CHARACTERS: Final = {"L": "ª", "N": "²", "M": "\u0300", "P": "¡", "S": "¢"}
_OTHER_CHARACTER: Final = "\x80"
_SPACE_CHARACTER: Final = "\v"
_SPACE_CODES: Final = (0x85, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029, 0x202F, 0x205F, 0x3000)


class _CollapseTable(dict[int, str]):
    """A table for `str.translate`, filled on demand."""

    def __missing__(self, code: int) -> str:
        found = chr(code)
        if code > 0x7F:
            found = _CATEGORY_CHARACTERS.get(unicodedata.category(found)[0], _OTHER_CHARACTER)
        self[code] = found
        return found


_SPACES: Final = dict.fromkeys(_SPACE_CODES, _SPACE_CHARACTER)
_COLLAPSED: Final = _CollapseTable(_SPACES)


def collapse(text: str) -> str:
    """Return TEXT with one character for all of a category, except ASCII."""
    return text.translate(_COLLAPSED)


def normalize_spaces(text: str) -> str:
    """Return TEXT with all spaces replaced by one in `SPACE`, for expressions with literal other characters."""
    return text.translate(_SPACES)
