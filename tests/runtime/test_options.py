"""The table of options is that of the native program, and both refuse the same values in the same words."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from runtime.options import domain_of, domains, value_count, value_refusal

FLAGS = Path(__file__).parents[2] / "runtime" / "shim" / "options" / "flags.cpp"

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
    entries = re.findall(r"^    \{\{([^}]+)\}, (\w+), ", FLAGS.read_text(), re.MULTILINE)
    return {name: int(kind != "none") for names, kind in entries for name in re.findall(r'"([^"]+)"', names)}


def has_optional_value(name: str) -> bool:
    return (domain_of(name) or "").startswith(("optional", "scaled"))


def test_the_options_are_those_of_the_program(program: Path) -> None:
    native = {**engine_options(program), **llamafile_options()}
    assert len(native) > 450
    assert domains().keys() == native.keys()
    counts = {name: value_count(name, ["x", "y"]) for name in native if not has_optional_value(name)}
    assert {name: (count, native[name]) for name, count in counts.items() if count != native[name]} == {}


@pytest.mark.parametrize(
    ("arguments", "count"),
    [
        (["--color"], 0), (["--color", "on"], 1), (["-co", "--batch-size"], 0), (["--slots", "3"], 1),
        (["--slots", "x"], 0), (["--no-slots", "3"], 0), (["--nosuch", "3"], None),
        (["--numa", "isolate"], 1), (["--numa", "-p"], 0), (["-fa", "auto"], 1), (["--lora-scaled", "x", "0.5"], 2),
        (["--lora-scaled", "x:0.5", "2"], 1), (["--lora-scaled", "x"], 1), (["--control-vector-layer-range", "1"], 2),
    ],
)  # fmt: skip  # a few to a line
def test_numbers_of_values(arguments: list[str], count: int | None) -> None:
    assert value_count(arguments[0], arguments[1:]) == count


REFUSED = {
    "--port": ("99999", "-1", "80a", "", " 80", "0x50", "9" * 30),
    "-n": ("abc", "-3", "1.5"),
    "--ctx-size": ("-1", "8x", "k", "100000k"),
    "-t": ("0513", "two"),
    "--seed": ("4294967296", "-2"),
    "-np": ("0", "-2"),
    "-ngl": ("most", "1.0", "-3"),
    "--temp": ("warm", "nan", "inf", "1e99", "1e-99", "0x1", "."),
    "--top-p": ("-0.1", "1.01"),
    "--repeat-penalty": ("0", "-1"),
    "--dry-base": ("0.5",),
    "--prio": ("-2", "4"),
    "--poll": ("101",),
    "-ctk": ("q2_k", "F16"),
    "--rope-scaling": ("cubic",),
    "--fit": ("auto",),
    "--reasoning-format": ("",),
    "--gpu": ("matrox",),
    "--samplers": ("top_k;best", "top_k,top_p", ""),
    "--sampler-seq": ("kz", ""),
    "--spec-type": ("none,best",),
    "--tensor-split": ("3,", "1;2", ""),
    "-j": ("{", "", "'a'"),
    "--chat-template-kwargs": ("{a: 1}",),
    "--listen": ("localhost", "localhost:65536", ":x"),
    "--control-vector-layer-range": ("one",),
}  # fmt: skip  # as many to a line as fit

ACCEPTED = {
    "--port": ("0", "65535", "+80"),
    "--ctx-size": ("0", "8k", "8K", "4096"),
    "--seed": ("-1", "4294967295"),
    "-ngl": ("auto", "all", "-1"),
    "--temp": ("0", "-1", "1.", ".5", "1e-3"),
    "--gpu": ("AUTO", "Disabled"),
    "--samplers": ("top_k;Top-P;temp",),
    "--tensor-split": ("3,1/2",),
    "--listen": (":80", "[::1]:80"),
    "--alias": ("", "any"),
    "--logit-bias": ("any",),
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in REFUSED.items() for value in values])
def test_the_program_refuses_the_same_values(program: Path, name: str, value: str) -> None:
    values = [value] * (value_count(name, ["x", "y"]) or 0)
    refusal = value_refusal(name, values)
    assert refusal is not None
    assert refusal.startswith(f"'{name}' is ")
    assert refusal.endswith(f", not '{value}'")
    result = subprocess.run([program, name, *values], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout, result.stderr) == (1, "", f"llamafile: {refusal}\n")


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in ACCEPTED.items() for value in values])
def test_other_values_are_accepted(program: Path, name: str, value: str) -> None:
    assert value_refusal(name, [value]) is None
    result = subprocess.run([program, name, value, "--cli"], capture_output=True, text=True, check=False)
    assert f"'{name}' is " not in result.stderr


def test_every_kind_of_value_is_refused_in_a_row() -> None:
    """Except those that the table does not restrict."""
    kinds = {domain.split()[0] for domain in domains().values()} - {"switch", "text", "engine", "scaled", "optional"}
    of_rows = {(domain_of(name) or "").split()[0] for name in REFUSED}
    assert kinds == of_rows
