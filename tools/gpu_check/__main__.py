"""Packs the check of GPUs for another machine.

python3 -m tools.gpu_check RUNTIME OUT    packs the llamafile RUNTIME and the check into OUT
python3 OUT [RESULTS.json [GPU]]          on the machine with the GPU: runs it, in less than 8 minutes
"""

from __future__ import annotations

import sys
from pathlib import Path

from tools.gpu_check.bundle import make_bundle


def main() -> None:
    """Run the command."""
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    make_bundle(Path(sys.argv[1]), Path(sys.argv[2]))


if __name__ == "__main__":
    main()
