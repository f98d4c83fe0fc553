"""Registration of APE programs with Linux's binfmt_misc, after which execve(2) starts them without a shell."""

from __future__ import annotations

from typing import Final

from apepack.format.prologue import Magic

__all__ = ["BINFMT_CONFIGURATION", "INTERPRETER"]

INTERPRETER: Final = "/usr/bin/ape"


def _registration(name: str, magic: Magic) -> str:
    # The magic without the quote, which would have to be escaped. F: the kernel opens the interpreter at registration,
    # so that it works in containers too. P: argv[0] is preserved.
    return f":{name}:M::{magic.value[:6].decode()}::{INTERPRETER}:FP"


# A file for /etc/binfmt.d, read by systemd-binfmt. Each line can be written to /proc/sys/fs/binfmt_misc/register.
BINFMT_CONFIGURATION: Final = f"""\
# /etc/binfmt.d/zz-ape.conf: APE programs (ape(5)) are started by {INTERPRETER}
{_registration("APE", Magic.MZ)}
{_registration("APE-jart", Magic.NO_WINDOWS)}
"""
