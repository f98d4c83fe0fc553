"""Small llamafiles, packed from programs of a few pages and a model of a few thousand weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from apepack.packing.runtime_part import link_runtime
from apepack.provenance.description import renew_manifest
from runtime.builder.build_record import FILE_NAME, BuildRecord
from tests.builders.ape import small_program
from tests.builders.gguf import Gguf, Info, number, text
from zipalign import Member, add_files

if TYPE_CHECKING:
    from pathlib import Path

    from apepack.provenance.manifest import Source

__all__ = ["PLATFORMS", "RECORD", "small_llamafile", "small_runtime"]

PLATFORMS: Final = ("linux-amd64", "linux-arm64", "windows-amd64", "macos-arm64", "freebsd-amd64")
RECORD: Final = BuildRecord(
    engine="llama.cpp",
    engine_version="llama-cpp-python 0.3.36",
    source_sha256="a" * 64,
    patches_sha256="b" * 64,
    version="0.1.0",
    revision="c" * 64,
    tools={"ziglang": "0.17.1", "cmake": "4.4.4", "ninja": "1.13.2"},
)
_NOTICES: Final = "".join(f"{'=' * 78}\n{title}\n{'=' * 78}\n\nMIT\n\n" for title in ("llama.cpp and ggml", "zstd"))


def small_runtime(folder: Path, platforms: tuple[str, ...] = PLATFORMS) -> Path:
    """A runtime without weights, as apepack links it of builds by llamafile-build."""
    programs = []
    for name in platforms:
        program = folder / name / "llamafile"
        program.parent.mkdir(exist_ok=True)
        program.write_bytes(small_program(name))
        program.with_name("NOTICES").write_text(_NOTICES)
        program.with_name(FILE_NAME).write_bytes(RECORD.pack())
        programs.append(program)
    link_runtime(programs, folder / "runtime", portable=False)
    return folder / "runtime"


def small_llamafile(
    folder: Path, platforms: tuple[str, ...] = PLATFORMS, sources: dict[str, Source] | None = None
) -> Path:
    """A llamafile with a model that says much about itself, and default arguments."""
    pairs = [
        text("general.architecture", "llama"),
        text("general.name", "Tiny"),
        text("general.license", "apache-2.0"),
        number("general.file_type", 15),
        number("general.base_model.count", 1),
        text("general.base_model.0.name", "Base"),
        text("general.base_model.0.repo_url", "https://example.org/base"),
    ]
    Gguf(pairs=pairs, tensors=[Info("token_embd.weight", (8, 4))]).write(folder / "tiny.gguf")
    path = small_runtime(folder, platforms).rename(folder / "my.llamafile")
    members = [Member("tiny.gguf", folder / "tiny.gguf"), Member(".args", b"-m\ntiny.gguf\n...\n")]
    add_files(path, members, alignment=65536)
    renew_manifest(path, sources=sources)
    return path
