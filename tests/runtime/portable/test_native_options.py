"""The portable runtime knows the options of the native program, with their numbers of values."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from runtime.errors import InvalidOptionError
from runtime.portable import native_options, settings
from runtime.portable.cli import main
from runtime.portable.native_options import REFUSED, native_value_count
from runtime.portable.settings import parse_settings

FLAGS = Path(__file__).parents[3] / "runtime" / "shim" / "options" / "flags.cpp"
MANUAL = Path(__file__).parents[3] / "man" / "man1" / "llamafile.1"
OWN = {"--cache-weights"}  # of the portable runtime alone
# Other spellings, and what is the case anyway.
SILENT = {
    "--n-predict", "--temperature", "--no-escape", "--display-prompt", "--silent-prompt", "--cli", "--server", "--v2",
    "--chat", "--log-disable", "--help-engine",
}  # fmt: skip  # as many to a line as there is room for
ANSWERS = {"-h", "--help", "-help", "--usage", "--version"}
OPTIONAL = {*native_options._WITH_OPTIONAL_VALUE, *native_options._WITH_SCALE}

_NAME = re.compile(r"(--?[A-Za-z0-9][\w.-]*)(,? *)")


def listed(line: str) -> dict[str, int]:
    """The options at the beginning of a line of the engine's help, with their numbers of values."""
    names, gap = [], ", "
    while gap.startswith(",") and (match := _NAME.match(line)):
        names.append(match[1])
        gap, line = match[2], line[match.end() :]
    values = 0 if gap != " " else 2 if line.startswith("START END") else 1  # more space is before what it does
    return dict.fromkeys(names, values)


def engine_options(program: Path) -> dict[str, int]:
    """All options of the engine, in any mode."""
    found = {}
    for mode in ("--cli", "--server", "--chat"):
        text = subprocess.run([program, mode, "--help-engine"], capture_output=True, text=True, check=True).stdout
        for line in text.splitlines():
            if line.startswith("-") and not line.startswith("-----"):
                found.update(listed(line))
    return found


def llamafile_options() -> dict[str, int]:
    """Options of llamafile itself, or with a meaning of its own."""
    entries = re.findall(r"^    \{\{([^}]+)\}, (none|one), ", FLAGS.read_text(), re.MULTILINE)
    return {name: int(kind == "one") for names, kind in entries for name in re.findall(r'"([^"]+)"', names)}


def own_options() -> dict[str, int]:
    return {**dict.fromkeys(settings._CONSTANTS, 0), **dict.fromkeys(settings._CONVERTERS, 1)}


def test_every_option_of_the_program_is_known(program: Path) -> None:
    native = {**engine_options(program), **llamafile_options()}
    assert len(native) > 450
    own = own_options()
    known = {name: own.get(name, native_value_count(name, ["1", "2"])) for name in native}
    different = {name: (known[name], native[name]) for name in native if known[name] != native[name]}
    assert {name for name in different if name not in OPTIONAL} == set()


def test_no_other_option_is_known(program: Path) -> None:
    native = {*engine_options(program), *llamafile_options(), *OPTIONAL}
    known = {*own_options(), *native_options._VALUE_COUNTS, *OPTIONAL, *REFUSED}
    assert known - native == OWN


@pytest.mark.parametrize(
    ("arguments", "count"),
    [
        (["--color"], 0), (["--color", "on"], 1), (["-co", "--batch-size"], 0), (["--slots", "3"], 1),
        (["--slots", "x"], 0),
        (["--numa", "isolate"], 1), (["--numa", "-p"], 0), (["-fa", "auto"], 1), (["--lora-scaled", "x", "0.5"], 2),
        (["--lora-scaled", "x:0.5", "2"], 1), (["--lora-scaled", "x"], 1), (["--control-vector-layer-range", "1"], 2),
    ],
)  # fmt: skip  # a few to a line
def test_values_that_may_be_left_out(arguments: list[str], count: int) -> None:
    assert native_value_count(arguments[0], arguments[1:]) == count


def test_each_of_them_is_without_effect_or_refused() -> None:
    for name, count in native_options._VALUE_COUNTS.items():
        arguments = [name, *["1"] * count]
        if name in REFUSED:
            with pytest.raises(InvalidOptionError):
                parse_settings(arguments)
        else:
            assert parse_settings(arguments).ignored_options == (name,)


def test_help_and_manual_name_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    shown = set(re.findall(r"(?<![\w-])--?[a-z][\w-]*", capsys.readouterr().out))
    assert own_options().keys() - shown == SILENT
    part = MANUAL.read_text().partition(".Ss With Python")[2].partition(".Sh ")[0]
    documented = {f"-{name}" for name in re.findall(r"^\.Fl (\S+)", part, re.MULTILINE)}
    assert documented <= own_options().keys() | REFUSED
    for names in (*settings._WITH_VALUE, *settings._SWITCHES):
        spellings = set(names.split())
        assert spellings <= SILENT or spellings & shown, names
        assert spellings <= SILENT | ANSWERS or spellings & documented, names
