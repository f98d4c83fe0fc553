"""Llamafiles to make images from, and images read by other code than that which writes them."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from apepack.oci.image import Image, make_image
from apepack.oci.plan import ImageOptions
from tests.apepack.upgrade.llamafiles import llamafile, runtime

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["Layout", "image", "names_in", "packed", "read_layout"]


@dataclass(frozen=True)
class Layout:
    """An image layout, with all blobs checked against their names."""

    index: dict[str, Any]
    blobs: dict[str, bytes]

    def json(self, descriptor: dict[str, Any]) -> dict[str, Any]:
        """Return the document of a descriptor, whose size is checked."""
        content = self.blobs[descriptor["digest"]]
        assert len(content) == descriptor["size"]
        found: dict[str, Any] = json.loads(content)
        return found

    def root(self) -> dict[str, Any]:
        """Return what the only entry of the index leads to."""
        (entry,) = self.index["manifests"]
        return self.json(entry)

    def platform(self, name: str) -> dict[str, Any]:
        """Return the manifest for a platform such as amd64."""
        (entry,) = [entry for entry in self.root()["manifests"] if entry["platform"]["architecture"] == name]
        return self.json(entry)

    def files(self, name: str) -> dict[str, bytes]:
        """Return the files of the image for a platform, as its layers leave them."""
        found: dict[str, bytes] = {}
        for layer in self.platform(name)["layers"]:
            with tarfile.open(fileobj=io.BytesIO(self.blobs[layer["digest"]])) as archive:
                for member in archive:
                    file = archive.extractfile(member) if member.isfile() else None
                    if file:
                        found[member.name] = file.read()
        return found


def read_layout(path: Path) -> Layout:
    """Read a layout, a folder or an archive."""
    if path.is_dir():
        files = {file.relative_to(path).as_posix(): file.read_bytes() for file in path.rglob("*") if file.is_file()}
    else:
        with tarfile.open(path) as archive:
            members = [member for member in archive if member.isfile()]
            assert len({member.name for member in members}) == len(members)
            files = {member.name: file.read() for member in members if (file := archive.extractfile(member))}
    assert json.loads(files.pop("oci-layout")) == {"imageLayoutVersion": "1.0.0"}
    index = json.loads(files.pop("index.json"))
    for name, content in files.items():
        assert name == f"blobs/sha256/{hashlib.sha256(content).hexdigest()}"
    return Layout(index, {f"sha256:{name.rpartition('/')[2]}": content for name, content in files.items()})


def packed(folder: Path, *, arguments: Sequence[str] = (), extra: Sequence[Path] = (), seed: int = 1) -> Path:
    """A llamafile with a tiny model."""
    return llamafile(folder / "x.llamafile", runtime(folder / "rt", seed=seed), arguments=arguments, extra=extra)


def image(path: Path, output: Path, modelpack: Path | None = None, **options: Any) -> Image:
    """Make an image of the llamafile PATH."""
    return make_image(path, output, ImageOptions(**options), modelpack=modelpack)


def names_in(folder: Path) -> list[str]:
    """The names of all that is in a folder."""
    return sorted(path.name for path in folder.iterdir())
