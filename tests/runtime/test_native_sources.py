from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.conftest import tool

SOURCES = sorted(
    path
    for folder in ("loader", "shim")
    for path in (Path(__file__).parents[2] / "runtime" / folder).rglob("*")
    if path.suffix in {".c", ".cpp", ".h"}
)


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_it_is_formatted(source: Path) -> None:
    result = subprocess.run(
        [tool("clang-format"), "--dry-run", "--Werror", str(source)], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_struct_of_a_file_format_has_its_size_asserted(source: Path) -> None:
    """Those are the ones that are named after a section of a specification, or defined by the ELF specification."""
    text = source.read_text()
    names = re.findall(r"^struct (\w+) \{ // §", text, re.MULTILINE) + re.findall(
        r"^\} (Elf64_\w+);", text, re.MULTILINE
    )
    for name in names:
        assert re.search(rf"assert\(sizeof\({name}\) == \d+", text), name
