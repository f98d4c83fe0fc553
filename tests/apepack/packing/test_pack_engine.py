"""What apepack knows of the engine is what its source says, at the version that is built."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from apepack.packing import lint_args
from runtime.builder.engine import engine_source
from runtime.gguf.architectures import ARCHITECTURES, PROJECTOR

# Options that take the name of a file or folder which is not sought in the archive, and why.
NOT_IN_THE_ARCHIVE = {
    "written": {
        "--kl-divergence-base", "--log-file", "--log-prompts-dir", "--logits-output-dir", "--lookup-cache-dynamic",
        "--output", "--output-file", "--prompt-cache", "--save-all-logits", "--slot-save-path", "-lcd", "-o",
    },
    "the user's own": {
        "--api-key-file", "--mcp-servers-config", "--media-path", "--models-dir", "--models-preset", "--path",
        "--ssl-cert-file", "--ssl-key-file", "--ui-config-file", "--webui-config-file",
    },
    "elsewhere": {"--hf-file", "-hff"},
    "of programs that are not in a llamafile": {
        "--context-file", "--negative-file", "--positive-file", "--tts-lang",
    },
}  # fmt: skip  # several to a line


@pytest.fixture(scope="module")
def source() -> Path:
    return engine_source()


def test_architectures(source: Path) -> None:
    listed = re.findall(r'\{ LLM_ARCH_\w+,\s*"([^"]+)" *\}', (source / "src" / "llama-arch.cpp").read_text())
    assert sorted(listed) == sorted([*ARCHITECTURES, PROJECTOR, "(unknown)"])


def test_every_option_that_names_a_file_is_known(source: Path) -> None:
    text = (source / "common" / "arg.cpp").read_text()
    listed: set[str] = set()
    for spellings, value in re.findall(r'\{((?:"-[^"]+",? ?)+)\},\s*"([^"]+)"', text):
        if re.search(r"FNAME|FILE|PATH", value):
            listed |= set(re.findall(r'"([^"]+)"', spellings))
    assert listed == lint_args._FILE_OPTIONS.union(*NOT_IN_THE_ARCHIVE.values())


def test_options_that_settle_the_model() -> None:
    """Those that the runtime looks for before it takes the only GGUF file in the archive."""
    shim = (Path(__file__).parents[3] / "runtime" / "shim" / "resolve" / "model.cpp").read_text()
    found = re.search(r"bool names_model.*?\n\}", shim, re.DOTALL)
    assert found is not None
    assert set(re.findall(r'"([^"]+)"', found.group())) == lint_args.MODEL_SOURCE_OPTIONS
