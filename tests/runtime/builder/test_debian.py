"""Debian's packages in the cache."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from runtime.builder import debian
from runtime.builder.debian import DebianPackage, extract_package, fetch_package, is_kept, kept_package, sha256_of
from runtime.errors import ArtifactError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _without_apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(debian, "_run", lambda *_: None)


def test_a_package_comes_from_the_cache_or_with_advice(tmp_path: Path) -> None:
    absent = DebianPackage("pool/x_1_all.deb", "0" * 64)
    with pytest.raises(ArtifactError) as refusal:
        fetch_package(absent)
    place = tmp_path / "llamafile-toolchain" / "debian" / f"{'0' * 64}.deb"
    assert str(refusal.value).startswith("this system has no apt; put x_1_all.deb of Debian, with SHA-256 0")
    assert str(refusal.value).endswith(f"at {place}")
    place.write_bytes(b"package")
    assert not is_kept(absent.sha256)
    present = DebianPackage("pool/x_1_all.deb", sha256_of(place))
    place.rename(kept_package(present.sha256))
    assert fetch_package(present) == kept_package(present.sha256)


def test_without_dpkg_the_package_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"x\.deb: this system has no dpkg-deb: install dpkg$"):
        extract_package(tmp_path / "x.deb", tmp_path)
