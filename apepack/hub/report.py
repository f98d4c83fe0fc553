"""Reports on a publication: lines of text for users, and objects for JSON with the schema apepack.schema.json."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from apepack.hub.publish import Publication

__all__ = ["publication_json", "publication_lines"]


def publication_json(publication: Publication) -> dict[str, Any]:
    """Return the JSON object for a publication."""
    return {
        "repository": publication.repository,
        "creates": publication.creates,
        "url": publication.url,
        "commit": publication.commit,
        "message": publication.message,
        "description": publication.description,
        "chunked": publication.chunked,
        "estimated_size": publication.estimated_size,
        "sent_size": publication.sent_size,
        "files": [
            {
                "name": item.file.name,
                "size": item.file.size,
                "sha256": item.file.sha256,
                "change": item.change.value,
                "new_size": item.new_size,
            }
            for item in publication.files
        ],
    }


def publication_lines(publication: Publication) -> Iterator[str]:
    """Yield the lines of a plan: what happens to each file, and how many bytes are sent."""
    yield f"{publication.repository}{' (to be created)' if publication.creates else ''}: {publication.message}"
    for item in publication.files:
        yield f"{item.change.value:>10} {item.file.size:>12} {item.file.name}"
    how = "in chunks" if publication.chunked else "in whole files"
    yield f"{publication.estimated_size} bytes to send at most, {how}"
