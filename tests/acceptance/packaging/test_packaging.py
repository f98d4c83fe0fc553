"""Rows D, I, J and K7 of the promises: how a llamafile is made and what it is made of."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from apepack.packing.pack import PackInputs, link_runtime, pack
from runtime.builder.loaders import loader_bytes
from runtime.platforms import platform_named
from tests.acceptance.api.servers import serving
from tests.builders.ape import names_in
from tests.conftest import tool
from tests.pipeline.conftest import QEMU, run
from zipalign import read_archive

if TYPE_CHECKING:
    from collections.abc import Mapping

PROMPT = "The capital of France is"


def test_d2_it_answers_on_arm64(smollm2: Path, tmp_path: Path) -> None:
    """The same file, by the loader that its script picks on arm64 (tests/apepack shows that it does)."""
    qemu = tool(QEMU)
    loader = tmp_path / "ape"
    loader.write_bytes(loader_bytes(platform_named("linux-arm64")))
    loader.chmod(0o755)
    result = subprocess.run(
        [qemu, str(loader), str(smollm2), "-p", PROMPT, "-n", "3", "--temp", "0"],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert result.stdout.startswith("The capital of France is Paris"), result.stderr


def test_d4_assimilated_it_is_a_plain_program(smollm2: Path, tmp_path: Path, bare: dict[str, str]) -> None:
    native = tmp_path / "native"
    subprocess.run(["assimilate", "-o", str(native), str(smollm2)], check=True, timeout=60)
    assert native.read_bytes()[:4] == b"\x7fELF"
    command = ["./native", "-p", PROMPT, "-n", "2", "--temp", "0"]
    result = subprocess.run(command, cwd=tmp_path, env=bare, capture_output=True, text=True, check=False, timeout=60)
    assert result.stdout.startswith("The capital of France is Paris"), result.stderr
    assert read_archive(native).entry("SmolLM2-135M-Instruct.Q4_1.gguf") is not None


def test_d6_two_packs_are_the_same_bytes(runtime: Path, tiny_model: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        command = ["apepack", "-o", str(tmp_path / name), "--runtime", str(runtime), str(tiny_model), "--", "-n", "4"]
        subprocess.run(command, check=True, timeout=60)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    entry = read_archive(tmp_path / "one").entry("tiny.gguf")
    assert entry is not None
    assert entry.data_offset % 65536 == 0


def test_d8_the_same_answer_every_time(smollm2: Path, bare: dict[str, str]) -> None:
    results = [run(smollm2, "-p", PROMPT, "-n", "16", "--temp", "0", env=bare).stdout for _ in range(2)]
    assert results[0] == results[1]


def test_d9_one_command_from_a_model_to_a_llamafile(
    runtime: Path, tiny_model: Path, tmp_path: Path, bare: dict[str, str]
) -> None:
    """Without --runtime: of what llamafile-build made, all that can be linked."""
    command = ["apepack", "-o", "my.llamafile", str(tiny_model), "--", "-n", "4", "--temp", "0"]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=60)
    result = run(tmp_path / "my.llamafile", "-p", "hello", env=bare)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("hello")
    assert names_in(tmp_path / "my.llamafile") == ["NOTICES", "tiny.gguf", ".args"]


def test_d10_it_is_made_for_machines_that_its_author_does_not_have(
    arm64: Path, tiny_model: Path, tmp_path: Path
) -> None:
    """A file that nothing here could start without an emulator."""
    link_runtime([arm64], tmp_path / "runtime")
    pack(PackInputs(tiny_model, arguments=("-n", "2")), tmp_path / "my.llamafile", runtime=tmp_path / "runtime")
    loader = tmp_path / "ape"
    loader.write_bytes(loader_bytes(platform_named("linux-arm64")))
    loader.chmod(0o755)
    command = [tool(QEMU), str(loader), str(tmp_path / "my.llamafile"), "-p", "hello"]
    result = subprocess.run(command, capture_output=True, check=False, timeout=300)
    assert (result.returncode, result.stdout[:5]) == (0, b"hello"), result.stderr


def test_d11_a_model_beside_it_works_too(runtime: Path, tiny_model: Path, bare: dict[str, str]) -> None:
    result = run(runtime, "-m", str(tiny_model), "-p", "hello", "-n", "4", "--temp", "0", env=bare)
    assert (result.returncode, result.stderr) == (0, "")


def test_i3_zipalign_makes_one_too(llamafile: Path, tiny_model: Path, tmp_path: Path, bare: dict[str, str]) -> None:
    """`zipalign -j0 x.llamafile other.gguf .args`, as every llamafile was made since the first."""
    (tmp_path / ".args").write_text("-m\ntiny.gguf\n-n\n4\n...\n")
    command = ["zipalign", "-j0", llamafile.name, str(tiny_model), ".args"]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=60)
    result = run(llamafile, "-p", "hello", env=bare)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("hello")


def test_j4_zip_tools_accept_it(smollm2: Path) -> None:
    """7-Zip takes what holds a Windows program for one, unless it is told."""
    for command in ([tool("unzip"), "-tqq"], [tool("7z"), "t", "-tzip"]):
        result = subprocess.run([*command, str(smollm2)], capture_output=True, text=True, check=False, timeout=60)
        assert result.returncode == 0, result.stdout + result.stderr
    with zipfile.ZipFile(smollm2) as archive:
        assert archive.testzip() is None
    assert names_in(smollm2) == ["NOTICES", "SmolLM2-135M-Instruct.Q4_1.gguf", ".args"]


def test_d3_it_is_a_program_of_windows_too(runtime: Path) -> None:
    head = runtime.read_bytes()[:4096]
    assert head.startswith(b"MZqFpD='\n")
    pe_offset = int.from_bytes(head[0x3C:0x40], "little")
    assert head[pe_offset : pe_offset + 4] == b"PE\0\0"


def test_d7_the_weights_are_mapped_where_they_lie(smollm2: Path, bare: Mapping[str, str], tmp_path: Path) -> None:
    """The member, and of the rest of the file only the program itself: nothing is copied, nothing else is read."""
    entry = read_archive(smollm2).entry("SmolLM2-135M-Instruct.Q4_1.gguf")
    assert entry is not None
    with serving(["/bin/sh", smollm2, "--nobrowser"], tmp_path / "log", bare) as server:
        text = Path(f"/proc/{server.process.pid}/maps").read_text(encoding="utf-8")
    shared = re.findall(rf"^(\w+)-(\w+) r--s (\w+) .* {re.escape(str(smollm2))}$", text, re.MULTILINE)
    ranges = [(int(offset, 16), int(offset, 16) + int(end, 16) - int(start, 16)) for start, end, offset in shared]
    assert len(ranges) == 1
    start, end = ranges[0]
    page = 4096
    assert entry.data_offset <= start < end <= -(-entry.data_end // page) * page
    # The engine lets go of the header with the vocabulary; the tensors are all there.
    assert end - start > 0.95 * entry.size


def test_i6_a_notice_of_ones_own(llamafile: Path, tmp_path: Path) -> None:
    (tmp_path / "NOTICE").write_text("Changed for a test.\n")
    subprocess.run(["zipalign", "-j0", llamafile, tmp_path / "NOTICE"], check=True, timeout=60)
    printed = subprocess.run([tool("unzip"), "-p", llamafile, "NOTICE"], capture_output=True, check=False, timeout=60)
    assert printed.stdout == b"Changed for a test.\n"


def test_j3_weights_lie_at_multiples_of_every_page_size(smollm2: Path) -> None:
    entry = read_archive(smollm2).entry("SmolLM2-135M-Instruct.Q4_1.gguf")
    assert entry is not None
    assert entry.data_offset % 65536 == 0


def test_i4_llamafiles_may_be_given_away(runtime: Path, tiny_model: Path, tmp_path: Path, bare: dict[str, str]) -> None:
    """It is executable, works in another place under another name, and does not tell where it was made."""
    folder = tmp_path / "the author's own folder"
    folder.mkdir()
    model = Path(shutil.copy(tiny_model, folder / "tiny.gguf"))
    pack(PackInputs(model), folder / "my.llamafile", runtime=runtime)
    assert (folder / "my.llamafile").stat().st_mode & 0o555 == 0o555
    received = tmp_path / "received"
    shutil.copyfile(folder / "my.llamafile", received)  # as a download comes: without its mode
    received.chmod(0o755)
    shutil.rmtree(folder)
    result = run(received, "-p", "hello", "-n", "2", env=bare)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("hello")
    assert str(tmp_path).encode() not in received.read_bytes()


def test_k7_licences(llamafile: Path, bare: dict[str, str]) -> None:
    """Of this project: Apache-2.0. Of the engine: MIT, as every file that holds it says, and by which engine it is."""
    root = Path(__file__).parents[3]
    assert "Apache License" in (root / "LICENSE").read_text()
    assert tomllib.loads((root / "pyproject.toml").read_text())["project"]["license"] == "Apache-2.0"
    notice = (root / "NOTICE").read_text()
    for word in ("Apache License, Version 2.0", "The ggml authors", "MIT License"):
        assert word in notice
    with zipfile.ZipFile(llamafile) as archive:
        notices = archive.read("NOTICES").decode()
    assert re.search(r"llama\.cpp and ggml\n=+\n\nMIT License\n\nCopyright \(c\) \S+ The ggml authors", notices)
    assert "llama.cpp of llama-cpp-python" in run(llamafile, "--version", env=bare).stdout
