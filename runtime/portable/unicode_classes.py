r"""The outline of a text: which of its characters are letters, numbers, marks, punctuation, symbols, space.

The expressions that cut texts into words speak of Unicode's categories (\p{L}, \p{N}, \p{M}), which Python's `re`
cannot. So they are matched against an outline: the same text, in which ASCII stands for itself, and one character for
all others of a category. The classes below name that one and what belongs to the category in ASCII. A character that
Python's `unicodedata` has not heard of yet is in none of them.
"""

from __future__ import annotations

import unicodedata
from typing import Final

__all__ = ["LETTER", "MARK", "NUMBER", "PUNCTUATION", "SPACE", "SYMBOL", "collapse", "normalize_spaces"]

# To be put between the brackets of an expression.
LETTER: Final = "A-Za-zª"
NUMBER: Final = "0-9²"
MARK: Final = "\u0300"
PUNCTUATION: Final = r"!-#%-*,-/:;?@\[-\]_{}¡"
SYMBOL: Final = r"$+<->^`|~¢"
SPACE: Final = r" \t\n\v\f\r"  # re's own \s has the separators of ASCII in it too, which Unicode calls no whitespace

_CATEGORY_CHARACTERS: Final = {"L": "ª", "N": "²", "M": "\u0300", "P": "¡", "S": "¢"}
_OTHER_CHARACTER: Final = "\x80"
_SPACE_CHARACTER: Final = "\v"
_SPACE_CODES: Final = (0x85, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029, 0x202F, 0x205F, 0x3000)


class _CollapseTable(dict[int, str]):
    """What `str.translate` asks, filled as it asks."""

    def __missing__(self, code: int) -> str:
        found = chr(code)
        if code > 0x7F:
            found = _CATEGORY_CHARACTERS.get(unicodedata.category(found)[0], _OTHER_CHARACTER)
        self[code] = found
        return found


_SPACES: Final = dict.fromkeys(_SPACE_CODES, _SPACE_CHARACTER)
_COLLAPSED: Final = _CollapseTable(_SPACES)


def collapse(text: str) -> str:
    """Return the outline of TEXT, which is as long."""
    return text.translate(_COLLAPSED)


def normalize_spaces(text: str) -> str:
    """Return TEXT with spaces that `SPACE` knows, for expressions that name other characters themselves."""
    return text.translate(_SPACES)
