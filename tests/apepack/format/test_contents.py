from __future__ import annotations

import pytest

from apepack.errors import LayoutError, NotAnApeError
from apepack.format.contents import read_loaders, read_programs
from runtime.builder.loaders import loader_bytes
from runtime.platforms import platform_named
from tests.builders.ape import small_ape, small_program
from tests.builders.elf import X86_64
from tests.builders.genuine import ERAS, genuine_ape

PLATFORMS = ("linux-amd64", "linux-arm64", "windows-amd64", "macos-arm64", "openbsd-amd64")


def test_programs_are_found_at_their_places() -> None:
    data = memoryview(small_ape(*PLATFORMS))
    programs = read_programs(data)
    assert [program.platform for program in programs] == list(PLATFORMS)
    for program in programs:
        original = small_program(program.platform)
        content = bytes(program.content(data))
        assert len(content) == program.size
        if program.unpacked:
            assert content == original
        else:  # but for their headers
            assert content[4096:] == original[4096 : len(content)]
            assert program.span.offset % 65536 == 0


def test_loaders_are_found_at_their_places() -> None:
    data = memoryview(small_ape(*PLATFORMS))
    loaders = read_loaders(data)
    assert [loader.platform for loader in loaders] == ["linux-amd64", "linux-arm64"]
    for loader in loaders:
        stored = bytes(data[loader.span.offset : loader.span.end])
        assert stored.rstrip(b"\0") == loader_bytes(platform_named(loader.platform)).rstrip(b"\0")


@pytest.mark.parametrize("era", ERAS)
def test_other_dialects(era: str) -> None:
    """A program is where its segments are, and loaders are not looked for."""
    data = memoryview(genuine_ape(era, (X86_64,)))
    (program,) = [program for program in read_programs(data) if program.platform == "linux-amd64"]
    assert 0 < program.span.offset < program.span.end <= len(data)
    assert read_loaders(data) == ()


def test_damage() -> None:
    data = bytearray(small_ape("linux-amd64"))
    with pytest.raises(NotAnApeError):
        read_programs(memoryview(b"text"))
    with pytest.raises(LayoutError, match="cut off"):
        read_loaders(memoryview(bytes(data[:4096])))
    with pytest.raises(LayoutError, match="program headers"):
        read_programs(memoryview(bytes(data[:0x10010])))
    data[0x10000 + 64 + 32 : 0x10000 + 64 + 40] = b"\xff" * 8
    with pytest.raises(LayoutError, match="p_filesz"):
        read_programs(memoryview(bytes(data)))
