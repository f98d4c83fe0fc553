"""Serves a local hub until it is interrupted."""

from __future__ import annotations

import argparse
import contextlib
from pathlib import Path

from tools.local_hub.protocol import Hub
from tools.local_hub.server import HubServer


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(prog="python3 -m tools.local_hub", description="A small Hugging Face Hub.")
    parser.add_argument("folder", type=Path, help="where its repositories are")
    parser.add_argument("--port", type=int, default=8765, help="where it listens, on this machine only (8765)")
    parser.add_argument("--token", help="the only token that may write; without it, any may")
    options = parser.parse_args()
    with HubServer(Hub(options.folder.resolve(), token=options.token), options.port) as server:
        print(f"export HF_ENDPOINT={server.address} HF_TOKEN={options.token or 'any'}", flush=True)  # noqa: T201  # a command
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever()


if __name__ == "__main__":
    main()
