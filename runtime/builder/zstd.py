"""zstd: the compressor, from its Python package, and the decompressor's source, from the same version's.

The parts for GPUs are compressed: no kernel runs or maps them from the archive, unlike programs and weights.
"""

from __future__ import annotations

import tarfile
from typing import TYPE_CHECKING, Final

from runtime.builder.artifacts import ZSTANDARD_SDIST, download
from runtime.builder.cache import cached, digest_of
from runtime.errors import ArtifactError, ToolchainError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["SOURCE_NAME", "compress", "zstd_source"]

SOURCE_NAME: Final = "zstd.c"
_FILES: Final = (SOURCE_NAME, "zstd.h", "zstd_errors.h", "LICENSE")
_LEVEL: Final = 19
_WINDOW_LOG: Final = 26  # the content is at most 64 MiB, of which all parts resemble each other


def zstd_source() -> Path:
    """Return the folder of zstd's source in one file, and its headers.

    Raises:
        ArtifactError: it cannot be downloaded, or is another archive.
    """

    def unpack(folder: Path) -> None:
        sdist = download(ZSTANDARD_SDIST)
        prefix = f"{ZSTANDARD_SDIST.file.removesuffix('.tar.gz')}/zstd/"
        try:
            with tarfile.open(sdist) as archive:
                for name in _FILES:
                    (folder / name).write_bytes(_content(archive, prefix + name))
        except (tarfile.TarError, EOFError, OSError, KeyError) as error:
            raise ArtifactError(f"cannot unpack {sdist.name}: {error}; remove {sdist.parent} and try again") from error

    return cached("zstd", digest_of([ZSTANDARD_SDIST.sha256]), unpack)


def _content(archive: tarfile.TarFile, name: str) -> bytes:
    member = archive.extractfile(name)
    if member is None:
        raise tarfile.TarError(f"{name} is no file")
    return member.read()


def compress(content: bytes) -> bytes:
    """Return CONTENT as one frame, which states its size.

    Raises:
        ToolchainError: the compressor is not installed.
    """
    try:
        import zstandard  # noqa: PLC0415  # an extra: absent without compilers
    except ImportError:
        raise ToolchainError("zstandard is not installed; run: pip install 'llamafile-toolchain[build]'") from None
    parameters = zstandard.ZstdCompressionParameters.from_level(
        _LEVEL, window_log=_WINDOW_LOG, enable_ldm=True, write_checksum=True
    )
    return zstandard.ZstdCompressor(compression_params=parameters).compress(content)
