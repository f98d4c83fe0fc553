"""Which platform a file becomes a program of: by letters of the command line, else this computer's."""

from __future__ import annotations

import pytest

from assimilate.target import machine_of, target_for
from runtime.errors import UnknownPlatformError
from runtime.image import linux_platform_name
from runtime.image.elf import Machine
from runtime.platforms import PLATFORMS, ImageFormat, host_platform, platform_named

TARGETS = {
    (None, None): "{system}-{machine}",
    (None, "amd64"): "{system}-amd64",
    (None, "arm64"): "{system}-arm64",
    (ImageFormat.ELF, None): "{elf}-{machine}",
    (ImageFormat.ELF, "amd64"): "{elf}-amd64",
    (ImageFormat.MACHO, None): "macos-{machine}",
    (ImageFormat.MACHO, "arm64"): "macos-arm64",
    (ImageFormat.PE, None): "windows-amd64",
    (ImageFormat.PE, "amd64"): "windows-amd64",
    (ImageFormat.PE, "arm64"): "windows-arm64",
}


@pytest.mark.parametrize("host", [*(platform.name for platform in PLATFORMS), "none of them"])
@pytest.mark.parametrize("letters", TARGETS, ids=str)
def test_targets(letters: tuple[ImageFormat | None, str | None], host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assimilate.target.host_platform", lambda: platform_named(host))
    system, _, machine = host.partition("-")
    elf = system if system not in {"macos", "windows", "none of them"} else "linux"
    expected = TARGETS[letters].format(system=system, machine=machine, elf=elf)
    if expected in {platform.name for platform in PLATFORMS}:
        assert target_for(*letters).name == expected
    else:
        with pytest.raises(UnknownPlatformError) as caught:
            target_for(*letters)
        assert caught.value.name in {expected, host}


def test_machines() -> None:
    assert (machine_of(platform_named("linux-arm64")), machine_of(platform_named("linux-amd64"))) == (
        Machine.AARCH64,
        Machine.X86_64,
    )
    names = [linux_platform_name(machine) for machine in (183, 62, 243)]
    assert names == ["linux-arm64", "linux-amd64", None]
    assert target_for(None, None) == host_platform()
