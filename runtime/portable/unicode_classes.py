r"""The outline of a text: which of its characters are letters, numbers, marks, punctuation, symbols, space.

The expressions that cut texts into words speak of Unicode's categories (\p{L}, \p{N}, \p{M}), which Python's `re`
cannot. So they are matched against an outline: the same text, in which ASCII stands for itself, and one character for
all others of a category. The classes below name that one and what belongs to the category in ASCII. A character that
Python's `unicodedata` has not heard of yet is in none of them.
"""

from __future__ import annotations

import unicodedata
from typing import Final

__all__ = ["LETTER", "MARK", "NUMBER", "PUNCTUATION", "SPACE", "SYMBOL", "outline", "plain"]

# To be put between the brackets of an expression.
LETTER: Final = "A-Za-zª"
NUMBER: Final = "0-9²"
MARK: Final = "\u0300"
PUNCTUATION: Final = r"!-#%-*,-/:;?@\[-\]_{}¡"
SYMBOL: Final = r"$+<->^`|~¢"
SPACE: Final = r" \t\n\v\f\r"  # re's own \s has the separators of ASCII in it too, which Unicode calls no whitespace

_OF_CATEGORY: Final = {"L": "ª", "N": "²", "M": "\u0300", "P": "¡", "S": "¢"}
_OF_OTHERS: Final = "\x80"
_OF_SPACE: Final = "\v"
_WHITE: Final = (0x85, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029, 0x202F, 0x205F, 0x3000)


class _Table(dict[int, str]):
    """What `str.translate` asks, filled as it asks."""

    def __missing__(self, code: int) -> str:
        found = chr(code)
        if code > 0x7F:
            found = _OF_CATEGORY.get(unicodedata.category(found)[0], _OF_OTHERS)
        self[code] = found
        return found


_SPACES: Final = dict.fromkeys(_WHITE, _OF_SPACE)
_OUTLINES: Final = _Table(_SPACES)


def outline(text: str) -> str:
    """Return the outline of TEXT, which is as long."""
    return text.translate(_OUTLINES)


def plain(text: str) -> str:
    """Return TEXT with spaces that `SPACE` knows, for expressions that name other characters themselves."""
    return text.translate(_SPACES)
