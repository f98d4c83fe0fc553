"""The files beside a llamafile that an upgrade changes with it: the companion for Windows, and a detached signature."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from apepack.errors import OutputError, SignedError
from apepack.packing.pack import is_companion
from apepack.provenance.manifest import SIGNATURE_NAME
from apepack.upgrade.undo_record import SUFFIX
from zipalign.copying import copy_file
from zipalign.input_file import open_input
from zipalign.output_file import OutputFile
from zipalign.replacement import replacing

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from zipalign import Entry

__all__ = [
    "SIGNATURE_SUFFIX",
    "check_signature",
    "drop_signature",
    "renewing_companion",
    "restore_sidecars",
    "signature_path",
]

SIGNATURE_SUFFIX: Final = ".sig"
_COMPANION_SUFFIX: Final = ".exe"


def signature_path(path: Path) -> Path:
    """Return the path of the detached signature of PATH."""
    return path.with_name(path.name + SIGNATURE_SUFFIX)


def check_signature(path: Path, entries: Iterable[Entry], *, drop: bool, is_detached: bool = True) -> None:
    """Refuse to change a llamafile that is signed, unless DROP.

    Raises:
        SignedError: the member is there, or, if IS_DETACHED counts, the file beside PATH.
    """
    if drop:
        return
    if any(entry.name == SIGNATURE_NAME for entry in entries):
        raise SignedError(path, f"member {SIGNATURE_NAME}")
    if is_detached and signature_path(path).exists():
        raise SignedError(path, signature_path(path).name)


def drop_signature(path: Path, *, keep: bool) -> None:
    """Remove the detached signature of PATH, if there is one, or KEEP it under the name that restoration looks for."""
    signature = signature_path(path)
    if signature.exists():
        if keep:
            signature.replace(_kept(signature))
        else:
            signature.unlink()


@contextmanager
def renewing_companion(companion: Path | None, runtime: Path, *, keep: bool) -> Iterator[None]:
    """Write the companion COMPANION before the block, and give it its name afterwards; KEEP the one before.

    Raises:
        OutputError: there is another file of that name.
    """
    if companion is None:
        yield
        return
    if companion.exists() and not is_companion(companion):
        raise OutputError(
            companion, "this would be replaced by the program for Windows: move it, or use --no-companion"
        )
    mode = companion.stat().st_mode & 0o777 if companion.exists() else runtime.stat().st_mode & 0o777
    with replacing(companion, mode) as file, open_input(runtime) as fd:
        copy_file(fd, OutputFile(file.fileno()), runtime.stat().st_size, None)
        yield
        if keep and companion.exists():
            companion.replace(_kept(companion))


def restore_sidecars(path: Path) -> None:
    """Give the companion and the signature from before an upgrade of PATH their names again, if there are any."""
    for sidecar in (path.with_suffix(_COMPANION_SUFFIX), signature_path(path)):
        if _kept(sidecar).exists():
            _kept(sidecar).replace(sidecar)


def _kept(path: Path) -> Path:
    return path.with_name(path.name + SUFFIX)
