"""The tables that repeat the engine's names and numbers are those of its source; no compiler is needed."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from runtime.builder.engine import engine_source
from runtime.gguf.architectures import ARCHITECTURES
from runtime.gguf.file_types import FILE_TYPES
from runtime.gguf.tensor_types import TENSOR_TYPES
from runtime.options import domain_of
from tools.engine_tables import TABLES, differing_files, regenerate

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def source() -> Path:
    return engine_source()


def test_every_table_is_that_of_the_engine(source: Path) -> None:
    """Otherwise run: python -m tools.engine_tables."""
    assert list(differing_files(source)) == []


def test_the_tables_have_content() -> None:
    assert len(ARCHITECTURES) > 100
    assert {"llama", "qwen3", "gemma3"} <= ARCHITECTURES
    assert TENSOR_TYPES[12] == ("Q4_K", 256, 144)
    assert (FILE_TYPES[0], FILE_TYPES[15]) == ("F32", "Q4_K_M")
    assert [domain_of(name) for name in ("--mlock", "--alias", "--prio")] == ["switch", "text", "integer -1 3"]


@pytest.mark.parametrize("name", TABLES)
def test_a_different_table_is_found(source: Path, tmp_path: Path, name: str) -> None:
    """One whose first quoted or listed element, or first option, is missing."""
    for file, _ in TABLES.values():
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / file, tmp_path / file)
    path = tmp_path / TABLES[name][0]
    text = path.read_text()
    start = text.index(f" Table {name}: ")
    element = re.compile(r'"[^"\n]+", |^    \d+: .*\n|(?<= )-[\w-]+(?=\n)', re.MULTILINE)
    path.write_text(text[:start] + element.sub("", text[start:], count=1))
    assert differing_files(source, tmp_path) == {TABLES[name][0]: text}


def test_a_source_without_the_list_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "llama-arch.cpp").write_text("\n")
    text = (ROOT / TABLES["architectures"][0]).read_text()
    with pytest.raises(ValueError, match="LLM_ARCH_NAMES"):
        regenerate("architectures", text, tmp_path)
