"""What command lines ask for."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from runtime.errors import InvalidOptionError
from runtime.options import domains, value_count
from runtime.portable import settings
from runtime.portable.cli import main
from runtime.portable.prompt import Prompt, unescape
from runtime.portable.settings import Settings, merge_arguments, parse_settings

MANUAL = Path(__file__).parents[3] / "man" / "man1" / "llamafile.1"
OWN = {"--cache-weights"}  # of the portable runtime alone
# Other spellings, and what is the case anyway.
SILENT = {
    "--n-predict", "--temperature", "--no-escape", "--display-prompt", "--silent-prompt", "--cli", "--server", "--v2",
    "--chat", "--log-disable", "--help-engine",
}  # fmt: skip  # as many to a line as there is room for
ANSWERS = {"-h", "--help", "-help", "--usage", "--version"}
REFUSED = settings._REFUSED_NAMES


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], Settings()),
        (["-p", "a"], Settings(prompt=Prompt("a"))),
        (["-p", "a", "-f", "b"], Settings(prompt=Prompt(name="b"))),
        (["-bf", "b"], Settings(prompt=Prompt(name="b", keeps_newline=True))),
        (["--random-prompt"], Settings(prompt=Prompt("Once upon a time"))),
        (["-p", "-n", "-n", "-1"], Settings(prompt=Prompt("-n"), token_limit=-1)),
        (["-r", "--temp", "-r", "}\n"], Settings(stops=("--temp", "}\n"))),
        (["-c", "8k"], Settings(context_size=8192)),
        (["--ctx_size", "512", "--no_display_prompt"], Settings(context_size=512, displays_prompt=False)),
        (["--temp", "0", "--top-k", "5", "--top-p", ".5", "--min-p", "0"],
         Settings(temperature=0, top_k=5, top_p=0.5, min_p=0)),
        (["-s", "4294967294"], Settings(seed=4294967294)),
        (["-s", "1", "--seed", "-1"], Settings(seed=None)),
        (["-e", "--no-escape"], Settings(processes_escapes=False)),
        (["--server", "--cli"], Settings(completes=True)),
        (["--cli", "--chat"], Settings(completes=False)),
        (["--silent-prompt", "--cache-weights", "-t", "2", "-m", "x"],
         Settings(displays_prompt=False, caches_weights=True, threads=2, model="x")),
        (["-ngl", "999", "--mlock", "--color", "--host", "-p", "-ngl", "1"],
         Settings(ignored_options=("-ngl", "--mlock", "--color", "--host", "-ngl"))),
        (["--color", "on", "-fa", "-p", "x"], Settings(prompt=Prompt("x"), ignored_options=("--color", "-fa"))),
        (["x", "-", "-n", "2"], Settings(positional=("x", "-"), token_limit=2)),
        (["-help"], Settings(wants_help=True)),
        (["--version"], Settings(wants_version=True)),
    ],
)  # fmt: skip  # each on a line, where it fits
def test_settings(arguments: list[str], expected: Settings) -> None:
    assert parse_settings(arguments) == expected


@pytest.mark.parametrize(
    ("arguments", "option", "words"),
    [
        (["--nope"], "--nope", "there is no option '--nope'"),
        (["--promp", "x"], "--promp", "there is no option '--promp'"),  # nothing is guessed from abbreviations
        (["--temp=0"], "--temp=0", "there is no option"),
        (["-p", "x", "-n"], "-n", "'-n' needs a value"),
        (["--host"], "--host", "'--host' needs a value"),
        (["-n", "x"], "-n", "'-n' is a whole number from -2 to 2147483647, not 'x'"),
        (["-c", "8x"], "-c", "'-c' is a whole number from 0 to 2147483647 or one such as 8k, not '8x'"),
        (["--top_k", "1.5"], "--top-k", "'--top-k' is a whole number from -2147483648 to 2147483647, not '1.5'"),
        (["--port", "99999"], "--port", "'--port' is a whole number from 0 to 65535, not '99999'"),
        (["--grammar", "root ::= x"], "--grammar", "'--grammar' is not supported by the portable runtime"),
        (["--image", "x.png"], "--image", "not supported"),
        (["--interactive"], "--interactive", "not supported"),
        (["--lora-scaled", "x", "0.5"], "--lora-scaled", "not supported"),
    ],
)
def test_what_makes_no_sense(arguments: list[str], option: str, words: str) -> None:
    with pytest.raises(InvalidOptionError, match=words) as caught:
        parse_settings(arguments)
    assert caught.value.option == option


@pytest.mark.parametrize(
    ("defaults", "expected"),
    [
        ([], ["a", "b"]),
        (["-x", "..."], ["-x", "a", "b"]),
        (["-x"], ["-x", "a", "b"]),
        (["-x", "...", "-y"], ["-x", "a", "b", "-y"]),
        (["...", "-x", "..."], ["a", "b", "-x", "..."]),
    ],
)
def test_default_arguments(defaults: list[str], expected: list[str]) -> None:
    assert merge_arguments(defaults, ["a", "b"]) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (rb"a\nb\tc\rd", b"a\nb\tc\rd"),
        (rb"\'\"\\n", b"'\"\\n"),
        (rb"\x41\xfF\x4", b"A\xff\\x4"),
        (rb"\q\0", rb"\q\0"),
        (b"end\\", b"end\\"),
        (b"\\\n", b"\\\n"),
    ],
)
def test_escapes(text: bytes, expected: bytes) -> None:
    assert unescape(text) == expected


def own_options() -> dict[str, int]:
    return {**dict.fromkeys(settings._CONSTANTS, 0), **dict.fromkeys(settings._CONVERTERS, 1)}


def test_its_options_are_those_of_the_native_program() -> None:
    own = own_options()
    assert own.keys() - domains().keys() == OWN
    assert {name: value_count(name, ["1"]) for name in own if name not in OWN} == {
        name: count for name, count in own.items() if name not in OWN
    }
    assert domains().keys() >= REFUSED


def test_each_other_option_has_no_effect_or_is_refused() -> None:
    values = {"switch": [], "text": ["x"], "engine": ["x"], "two": ["1", "1"]}
    for name in domains().keys() - own_options().keys():
        if name in REFUSED:
            with pytest.raises(InvalidOptionError):
                parse_settings([name, "1", "1"])
        elif (domain := domains()[name]) in values:
            assert parse_settings([name, *values[domain]]).ignored_options == (name,)


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
