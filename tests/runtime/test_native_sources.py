from __future__ import annotations

import re
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from runtime.builder.engine import INCLUDES, engine_source

SHIM = Path(__file__).parents[2] / "runtime" / "shim"
SOURCES = sorted(
    path
    for folder in ("loader", "shim")
    for path in (Path(__file__).parents[2] / "runtime" / folder).rglob("*")
    if path.suffix in {".c", ".cpp", ".h"}
)


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_struct_of_a_file_format_has_its_size_asserted(source: Path) -> None:
    """Those are the ones that are named after a section of a specification, or defined by the ELF specification."""
    text = source.read_text()
    names = re.findall(r"^struct (\w+) \{ // §", text, re.MULTILINE) + re.findall(
        r"^\} (Elf64_\w+);", text, re.MULTILINE
    )
    for name in names:
        assert re.search(rf"assert\(sizeof\({name}\) == \d+", text), name


@pytest.fixture(scope="module")
def engine() -> Path:
    return engine_source()


def includes(source: Path) -> list[str]:
    return re.findall(r'^#include "(.+)"', source.read_text(), re.MULTILINE)


def shim_headers() -> set[str]:
    return {path.relative_to(SHIM).as_posix() for path in SHIM.rglob("*.h")}


def test_includes_of_the_shim_name_their_folder() -> None:
    """A bare name is a header of the engine's, so none may exist in the folder of the file that includes it."""
    headers = shim_headers()
    for source in SOURCES:
        if source.is_relative_to(SHIM) and source.parent != SHIM:
            for name in includes(source):
                assert "/" in name or (source.parent / name).relative_to(SHIM).as_posix() not in headers, source


def test_no_header_of_the_engine_has_the_path_of_one_of_the_shim(engine: Path) -> None:
    """The shim's own folder comes first on the search path, for the engine's headers too."""
    headers = shim_headers()
    for folder in INCLUDES:
        assert not {name for name in headers if (engine / folder / name).exists()}


def test_folders_of_the_shim_include_each_other_without_a_cycle() -> None:
    headers = shim_headers()
    graph: dict[str, set[str]] = {}
    for source in SOURCES:
        if source.is_relative_to(SHIM):
            folder = source.relative_to(SHIM).parts[0] if source.parent != SHIM else "."
            used = {name.split("/")[0] if "/" in name else "." for name in includes(source) if name in headers}
            graph.setdefault(folder, set()).update(used - {folder})
    assert {"base", "archive", "server"} <= graph.keys()
    assert list(TopologicalSorter(graph).static_order())[-1] == "."
