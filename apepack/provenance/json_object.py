"""JSON in one canonical form, and the fields of its objects with checks of their types."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, Self

from apepack.errors import ManifestError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["SIZE_MAX", "JsonObject", "canonical_json"]

SIZE_MAX: Final = 1 << 24  # of a document that is read, in bytes
_KINDS: Final = {str: "a text", int: "a number", list: "a list"}


def canonical_json(content: Mapping[str, Any]) -> bytes:
    """Return CONTENT as JSON in the canonical form: sorted keys, one space of indentation, a newline at the end."""
    return (json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


class JsonObject:
    """The fields of a JSON object of a manifest. An error names the field concerned.

    Args:
        content: the object.
        name: the field that contains it, if one does.
    """

    def __init__(self, content: Any, name: str = "") -> None:
        if not isinstance(content, dict):
            raise ManifestError(f"{name or 'it'} is not a JSON object", name or None)
        self._content = content
        self._name = name

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read a document in the canonical form.

        Raises:
            ManifestError: it is too large, not JSON, or not in that form.
        """
        if len(data) > SIZE_MAX:
            raise ManifestError(f"it has {len(data)} bytes (expected {SIZE_MAX} at most)")
        try:
            content = json.loads(data)
            is_canonical = canonical_json(content) == data
        except (ValueError, RecursionError) as error:  # also half of a surrogate pair
            raise ManifestError(f"it is not JSON ({error})") from error
        fields = cls(content)
        if not is_canonical:
            raise ManifestError("it is not in the canonical form: something else than apepack wrote it")
        return fields

    def text(self, name: str) -> str:
        """Return a text."""
        return str(self._take(name, str))

    def optional_text(self, name: str) -> str | None:
        """Return a text, or None if it is absent."""
        return self.text(name) if name in self._content else None

    def number(self, name: str) -> int:
        """Return a number, 0 or more."""
        value = int(self._take(name, int))
        if value < 0:
            raise ManifestError(f"{self._path(name)} is {value} (expected 0 or more)", self._path(name))
        return value

    def optional_number(self, name: str) -> int | None:
        """Return a number, or None if it is absent."""
        return self.number(name) if name in self._content else None

    def digest(self, name: str, digits: int = 64) -> str:
        """Return a digest of so many hexadecimal DIGITS."""
        value = self.text(name)
        if len(value) != digits or set(value) - set("0123456789abcdef"):
            expected = f"{digits} hexadecimal digits"
            raise ManifestError(f"{self._path(name)} is {value!r} (expected {expected})", self._path(name))
        return value

    def texts(self, name: str) -> dict[str, str]:
        """Return an object whose values are texts."""
        fields = JsonObject(self._content.get(name), self._path(name))
        return {key: fields.text(key) for key in fields._content}

    def child(self, name: str) -> JsonObject | None:
        """Return an object, or None if it is absent."""
        return JsonObject(self._content[name], self._path(name)) if name in self._content else None

    def items(self, name: str) -> list[JsonObject]:
        """Return a list of objects."""
        return [JsonObject(item, f"{self._path(name)}[{at}]") for at, item in enumerate(self._take(name, list))]

    def _take(self, name: str, kind: type) -> Any:
        value = self._content.get(name)
        if not isinstance(value, kind) or isinstance(value, bool):
            got = "absent" if value is None else repr(value)
            raise ManifestError(f"{self._path(name)} is {got} (expected {_KINDS[kind]})", self._path(name))
        return value

    def _path(self, name: str) -> str:
        return f"{self._name}.{name}".removeprefix(".")
