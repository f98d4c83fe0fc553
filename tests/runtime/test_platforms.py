from __future__ import annotations

import platform as this_machine

import pytest

from runtime.errors import UnknownPlatformError
from runtime.platforms import PLATFORMS, ImageFormat, Platform, host_platform, platform_named


def test_the_eight_platforms() -> None:
    assert [platform.name for platform in PLATFORMS] == [
        "linux-amd64",
        "linux-arm64",
        "windows-amd64",
        "macos-arm64",
        "macos-amd64",
        "freebsd-amd64",
        "netbsd-amd64",
        "openbsd-amd64",
    ]


@pytest.mark.parametrize("platform", PLATFORMS, ids=lambda platform: platform.name)
def test_a_platform_is_found_by_its_name(platform: Platform) -> None:
    assert platform_named(platform.name) is platform


def test_formats_follow_the_system() -> None:
    formats = {platform.name: platform.image_format for platform in PLATFORMS}
    assert formats["windows-amd64"] is ImageFormat.PE
    assert formats["macos-arm64"] is ImageFormat.MACHO
    assert formats["openbsd-amd64"] is ImageFormat.ELF


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(UnknownPlatformError, match="linux-amd64, linux-arm64") as caught:
        platform_named("plan9-mips")
    assert caught.value.name == "plan9-mips"


@pytest.mark.parametrize(
    ("system", "machine", "name"),
    [
        ("Linux", "x86_64", "linux-amd64"),
        ("Linux", "aarch64", "linux-arm64"),
        ("Darwin", "arm64", "macos-arm64"),
        ("Windows", "AMD64", "windows-amd64"),
        ("OpenBSD", "amd64", "openbsd-amd64"),
    ],
)
def test_the_host_is_recognised(monkeypatch: pytest.MonkeyPatch, system: str, machine: str, name: str) -> None:
    monkeypatch.setattr(this_machine, "system", lambda: system)
    monkeypatch.setattr(this_machine, "machine", lambda: machine)
    assert host_platform().name == name
    assert platform_named("host").name == name


def test_an_unknown_host_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(this_machine, "system", lambda: "Linux")
    monkeypatch.setattr(this_machine, "machine", lambda: "riscv64")
    with pytest.raises(UnknownPlatformError, match="linux-riscv64"):
        host_platform()
