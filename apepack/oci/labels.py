"""What is known about an image, as the labels and annotations that tools and registries show.

https://github.com/opencontainers/image-spec/blob/v1.1.1/annotations.md
"""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from zipalign.dostime import build_timestamp
from zipalign.errors import TimestampError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from apepack.provenance.manifest import Manifest, ModelFacts

__all__ = ["TITLE", "created", "labels", "licence_of", "model_labels", "source_url"]

_PREFIX: Final = "org.opencontainers.image."
TITLE: Final = f"{_PREFIX}title"
_HUB: Final = "https://huggingface.co/"
_HUB_ID: Final = re.compile(r"[\w.-]+/[\w.-]+")
_LICENCE: Final = re.compile(r"[A-Za-z0-9.+-]+(?: (?:AND|OR|WITH) [A-Za-z0-9.+-]+)*")
_NO_LICENCES: Final = frozenset({"other", "unknown"})  # the Hub's words for one without a name
_TEXT_SIZE_MAX: Final = 256


def labels(model: ModelFacts, manifest: Manifest | None, *, fallback: str) -> dict[str, str]:
    """Return the labels of an image with MODEL, from a llamafile with MANIFEST; what is not known is absent.

    FALLBACK is the title of a model without a name.

    Raises:
        TimestampError: SOURCE_DATE_EPOCH is no time.
    """
    own = model_labels(model, fallback=fallback)
    engine = manifest.origin.engine if manifest else None
    toolchain = manifest.origin.toolchain if manifest else None
    quantization = f" ({model.quantization})" if model.quantization else ""
    description = f"{own[TITLE]}{quantization}, served by {engine.name if engine else 'llama.cpp'}"
    return own | _known({"description": description, "version": toolchain.version if toolchain else None})


def model_labels(model: ModelFacts, *, fallback: str) -> dict[str, str]:
    """Return the labels of what consists of MODEL alone; FALLBACK is the title if it has no name.

    Raises:
        TimestampError: SOURCE_DATE_EPOCH is no time.
    """
    facts = {
        "title": _line(model.name or fallback),
        "licenses": licence_of(model),
        "revision": model.source.revision if model.source else None,
        "source": source_url(model),
        "created": created(),
    }
    return _known(facts)


def _known(facts: Mapping[str, str | None]) -> dict[str, str]:
    return {f"{_PREFIX}{name}": value for name, value in facts.items() if value}


def created() -> str | None:
    """Return SOURCE_DATE_EPOCH in the form of RFC 3339, or None if it is not set.

    Raises:
        TimestampError: it is no time.
    """
    text = os.environ.get("SOURCE_DATE_EPOCH")
    if text is None:
        return None
    try:
        return datetime.fromtimestamp(build_timestamp(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (OverflowError, ValueError, OSError) as error:
        raise TimestampError(text) from error


def licence_of(model: ModelFacts) -> str | None:
    """Return the licence of MODEL if it can be an expression of SPDX, whose identifiers are the same in any case."""
    licence = model.license or ""
    return licence if _LICENCE.fullmatch(licence) and licence not in _NO_LICENCES else None


def source_url(model: ModelFacts) -> str | None:
    """Return the address of the place that MODEL came from."""
    if model.source is None:
        return None
    return f"{_HUB}{model.source.repo}" if _HUB_ID.fullmatch(model.source.repo) else model.source.repo


def _line(text: str) -> str:
    """Return TEXT, of a model's metadata, in one line."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())[:_TEXT_SIZE_MAX]
