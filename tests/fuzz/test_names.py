"""The shim's own parsers under sanitizers: archives, default arguments, and the names in them, changed at random.

The inputs are numbered and the same every time; the time decides how many there are. For a longer run, in the folder
that pytest leaves behind: `./names SECONDS FIRST seeds/*`; what it ends on lies in `current-input`.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.builders.zip import ALL_ONES, Item, build, zip64_extra
from tests.conftest import tool

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
SHIM = ROOT / "runtime" / "shim"
PARSERS = (
    "archive/zip",
    "archive/own_container",
    "archive/shard_name",
    "archive/container",
    "archive/companion",
    "archive/weights",
    "archive/reference",
    "resolve/names",
    "base/csv",
    "resolve/model",
    "base/arguments",
    "base/file",
    "base/file_posix",
    "base/standard_input",
    "base/text",
)
FLAGS = (
    *("-std=c++20", "-g", "-O1", "-Wall", "-Wextra", "-Werror"),
    *("-fsanitize=address,undefined", "-fno-sanitize-recover=all"),
    f"-I{SHIM}",
)
SECONDS = 60

GGUF = b"GGUF" + bytes(28)
ARGUMENTS = (
    b'-m\n/zip/two.gguf\n--mmproj\nprojector.gguf\n--lora\none.gguf,"two.gguf"\n-f\nfolder/prompt.txt\n...\n-n\n5\n'
)


def seeds() -> Iterator[bytes]:
    one, two, projector = (Item(name, GGUF) for name in (b"one.gguf", b"two.gguf", b"projector.gguf"))
    prompt = Item(b"folder/prompt.txt", b"Once upon\na time")
    large = {"csize": ALL_ONES, "size": ALL_ONES, "offset": ALL_ONES}
    zip64 = Item(
        b"one.gguf", GGUF, local_extra=zip64_extra(32, 32), central_extra=zip64_extra(32, 32, 0), central=large
    )
    yield build([one])
    yield build([one, Item(b".args", b"-m\r\none.gguf\r\n-p\r\ntwo\\nlines\r\n")], prefix=b"MZqFpD='\n" + bytes(200))
    yield build([one, two, projector, prompt, Item(b".args", ARGUMENTS)], comment=b"made by hand")
    yield build([zip64], end64={}, locator={})
    yield build([Item(b"a-00001-of-00002.gguf", GGUF), Item(b"a-00002-of-00002.gguf", GGUF), one, one])
    yield build([Item(b"one.gguf", GGUF, method=8), Item(b"two.gguf", GGUF, flags=1), Item(b".args", b"")])
    yield build([Item(b"one.gguf", GGUF, central={"csize": 5000, "size": 5000}), two])
    yield build(
        [Item(b"one.gguf", GGUF, central={"offset": 5000}), Item(b"two.gguf", GGUF, local={"extra_size": 9999})]
    )
    yield build([Item(b"x.zip", build([one]))])
    yield GGUF
    yield ARGUMENTS
    yield b"--lora-scaled\none.gguf:0.5,current-input@one.gguf:1\n-bf\nx\n--api-key-file\nx\n-m\ncurrent-input"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fuzz")
    (folder / "seeds").mkdir()
    for number, seed in enumerate(seeds()):
        (folder / "seeds" / str(number)).write_bytes(seed)
    sources = [Path(__file__).with_name(name) for name in ("names.cpp", "mutation.cpp")]
    sources += [SHIM / f"{name}.cpp" for name in PARSERS]
    command = [tool("g++"), *FLAGS, *map(str, sources), "-o", str(folder / "names")]
    subprocess.run(command, check=True, timeout=300)
    return folder


@pytest.mark.needs_compiler
@pytest.mark.slow
def test_no_input_does_more_than_being_refused(folder: Path) -> None:
    """Leaks count too, and sizes that no input of this length justifies."""
    command = ["./names", str(SECONDS), "0", *sorted(f"seeds/{path.name}" for path in folder.glob("seeds/*"))]
    result = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | {"ASAN_OPTIONS": "detect_leaks=1:max_allocation_size_mb=256"},
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        timeout=5 * SECONDS,
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert int(result.stdout) > 0
