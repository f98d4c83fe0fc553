"""What command lines ask for."""

from __future__ import annotations

import pytest

from runtime.errors import InvalidOptionError
from runtime.portable.prompt import Prompt, unescape
from runtime.portable.settings import Settings, merge_arguments, parse_settings


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
        (["-c", "-5"], Settings(context_size=0)),
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
        (["-n", "x"], "-n", "'-n' takes a number, not 'x'"),
        (["-c", "8x"], "-c", "'-c' takes a number, not '8x'"),
        (["--top_k", "1.5"], "--top-k", "'--top-k' takes a number, not '1.5'"),
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
