"""Registering APE programs with Linux' binfmt_misc, so that every execve(2) starts them, not only shells."""

from __future__ import annotations

from typing import Final

from apepack.format.prologue import Magic

__all__ = ["BINFMT_CONFIGURATION", "INTERPRETER"]

INTERPRETER: Final = "/usr/bin/ape"


def _registration(name: str, magic: Magic) -> str:
    # Six letters: the quote is not worth escaping. F: opened now, so that it works in containers as well.
    # P: the program's argv[0] is kept.
    return f":{name}:M::{magic.value[:6].decode()}::{INTERPRETER}:FP"


# What systemd-binfmt reads from /etc/binfmt.d; each line alone is what /proc/sys/fs/binfmt_misc/register takes.
BINFMT_CONFIGURATION: Final = f"""\
# /etc/binfmt.d/zz-ape.conf: APE programs (ape(5)) are started by {INTERPRETER}
{_registration("APE", Magic.MZ)}
{_registration("APE-jart", Magic.NO_WINDOWS)}
"""
