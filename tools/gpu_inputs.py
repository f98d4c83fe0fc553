"""The inputs of the part for GPUs, which CI can do without.

    python3 -m tools.gpu_inputs

fetches them. If one cannot be had, it is recorded as lost, and the option of llamafile-build is printed that leaves the
part out.
"""

from __future__ import annotations

import platform
import sys
from typing import Final

from runtime.builder.artifacts import SLANGPY_WHEELS, download
from runtime.builder.vulkan.headers import vulkan_headers
from runtime.errors import RuntimePackageError
from tools.lost_inputs import read_lost_inputs, record_lost_input

__all__ = ["LOST", "are_lost"]

LOST: Final = "the inputs of the part for GPUs"


def are_lost() -> bool:
    """Say whether the record names them."""
    return LOST in read_lost_inputs()


def main() -> None:
    """Fetch them."""
    try:
        vulkan_headers()
        wheel = SLANGPY_WHEELS.get(platform.machine())
        if wheel is not None:
            download(wheel)
    except RuntimePackageError as error:
        record_lost_input(LOST, str(error))
        sys.stdout.write("--no-gpu\n")


if __name__ == "__main__":
    main()
