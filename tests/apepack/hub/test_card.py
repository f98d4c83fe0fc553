"""Model cards: what apepack writes, and what it leaves alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml

from apepack.errors import CardError, MissingPackageError
from apepack.hub.card import card_metadata, load_card, renew_card
from apepack.hub.front_matter import merge_metadata, read_metadata
from apepack.hub.llamafile import read_llamafile
from apepack.hub.metadata import ModelMetadata
from apepack.provenance.manifest import Source
from tests.builders.gguf import U32, number, text, texts
from tests.builders.hub import change, model_file, packed
from zipalign import Member, add_files

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.builders.gguf import Pair

CARD: Final = Path("README.md")
OURS: Final = {"library_name": "llamafile", "tags": ["llamafile", "gguf"], "license": "apache-2.0"}


def test_a_new_card(tiny: Path) -> None:
    llamafile = read_llamafile(tiny)
    card = renew_card("", [llamafile], CARD)
    assert read_metadata(card, CARD) == {
        "library_name": "llamafile",
        "tags": ["llamafile", "gguf", "llama"],
        "license": "apache-2.0",
        "base_model": "base/Tiny-1B",
        "base_model_relation": "quantized",
        "pipeline_tag": "text-generation",
        "language": ["en"],
    }
    assert "\n# Tiny Q8_0\n" in card
    assert "On Linux:\n\n```sh\nchmod +x tiny.llamafile\n./tiny.llamafile\n```\n" in card
    assert "On Windows, rename the file to `tiny.exe`, and start that." in card
    assert f"| `tiny.llamafile` | {llamafile.size} | `{llamafile.sha256}` |" in card
    assert f"| weights `Tiny.Q8_0.gguf` | {llamafile.models[0].size} | `{llamafile.models[0].sha256}` |" in card
    assert "| program for windows-amd64 |" in card
    assert "apepack verify tiny.llamafile\n" in card


def test_the_hub_accepts_it(tiny: Path) -> None:
    """The library's own reader, which has rules for licences and base models."""
    from huggingface_hub import ModelCard

    data = vars(ModelCard(renew_card("", [read_llamafile(tiny)], CARD), ignore_metadata_errors=False).data)
    assert (data["library_name"], data["license"], data["base_model"]) == ("llamafile", "apache-2.0", "base/Tiny-1B")


def test_what_the_author_wrote_stays(tiny: Path) -> None:
    llamafile = read_llamafile(tiny)
    before, behind = "---\nlicense: mit # mine\n---\n# Title\n\nBefore.\n\n", "\n\nBehind.\n"
    card = renew_card(before, [llamafile], CARD) + behind
    change(tiny)
    renewed = renew_card(card, [read_llamafile(tiny)], CARD)
    assert "license: mit # mine\n" in renewed
    assert "# Title\n\nBefore.\n\n<!-- apepack: begin of tiny.llamafile -->" in renewed
    assert renewed.endswith("<!-- apepack: end of tiny.llamafile -->\n" + behind)
    assert llamafile.sha256 not in renewed
    assert renew_card(renewed, [read_llamafile(tiny)], CARD) == renewed


def test_each_llamafile_has_its_section(tmp_path: Path) -> None:
    model = model_file(tmp_path / "Tiny.Q8_0.gguf")
    one, two = (read_llamafile(packed(tmp_path, model, f"{name}.llamafile")) for name in ("one", "two"))
    card = renew_card(renew_card("", [one], CARD), [two], CARD)
    assert card.index("## one.llamafile") < card.index("## two.llamafile")
    assert renew_card(card, [one, two], CARD) == card


def test_newlines_of_windows_stay(tiny: Path, tmp_path: Path) -> None:
    path = tmp_path / "card.md"
    path.write_bytes(b"---\r\ntags:\r\n- mine\r\n---\r\n# Title\r\n")
    card = renew_card(load_card(path), [read_llamafile(tiny)], path)
    assert card.count("\n") == card.count("\r\n") > 20
    assert read_metadata(card, path)["tags"] == ["mine", "llamafile", "gguf", "llama"]


@pytest.mark.parametrize(
    ("written", "added"),
    [
        ("", "library_name: llamafile\ntags:\n- llamafile\n- gguf\nlicense: apache-2.0\n"),
        ("license: mit\n", "license: mit\nlibrary_name: llamafile\ntags:\n- llamafile\n- gguf\n"),
        ("tags: [a, gguf] # two\n", "tags: [a, gguf, llamafile] # two\n"),
        ("tags: []\nx: 1\n", "tags: [llamafile, gguf]\nx: 1\n"),
        ("tags:\n  - a\n  - 'b c' # x\nx: 1\n", "tags:\n  - a\n  - 'b c' # x\n  - llamafile\n  - gguf\nx: 1\n"),
        ("x: 1\ntags:\n- a\n", "x: 1\ntags:\n- a\n- llamafile\n- gguf\n"),
        ("tags: [llamafile, gguf]\n", "tags: [llamafile, gguf]\n"),
        ("tags: one\n", "tags: one\n"),
        ("library_name: mine\n# comment\n", "library_name: mine\n# comment\n"),
        ("license:\n", "license:\n"),
    ],
)
def test_metadata_is_added_to_the_authors(written: str, added: str) -> None:
    merged = merge_metadata(f"---\n{written}---\nBody\n", OURS, CARD)
    assert merged.startswith(f"---\n{added}")
    assert merged.endswith("---\nBody\n")
    before: dict[str, Any] = yaml.safe_load(written) or {}
    after = read_metadata(merged, CARD)
    tags = before.get("tags", [])
    if isinstance(tags, list):
        before["tags"] = [*tags, *(tag for tag in OURS["tags"] if tag not in tags)]
    assert after == {**OURS, **before}
    assert merge_metadata(merged, OURS, CARD) == merged


@pytest.mark.parametrize("body", ["", "# Title\n", "--- no metadata\n---\n", "Text\n---\na: b\n---\n"])
def test_a_card_without_metadata_gets_some(body: str) -> None:
    merged = merge_metadata(body, OURS, CARD)
    assert read_metadata(merged, CARD) == OURS
    assert merged.endswith(f"---\n\n{body}")


@pytest.mark.parametrize(
    ("card", "reason"),
    [
        ("---\nlicense: [\n---\n", "is not valid YAML"),
        ("---\njust a text\n---\n", "has no keys"),
        ("---\n- a\n---\n", "has no keys"),
        ("<!-- apepack: begin of tiny.llamafile -->\n", "it needs one line"),
        ("<!-- apepack: end of tiny.llamafile -->\n", "it needs one line"),
        ("<!-- apepack: begin of tiny.llamafile -->\n" * 2 + "<!-- apepack: end of tiny.llamafile -->\n", "one line"),
        ("<!-- apepack: end of tiny.llamafile -->\n<!-- apepack: begin of tiny.llamafile -->\n", "before its begin"),
    ],
)
def test_damaged_cards(tiny: Path, card: str, reason: str) -> None:
    with pytest.raises(CardError, match=reason) as raised:
        renew_card(card, [read_llamafile(tiny)], CARD)
    assert raised.value.path == CARD
    assert "\n" not in str(raised.value)


def test_a_card_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "card.md"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(CardError, match="it is not UTF-8"):
        load_card(path)


def test_without_pyyaml(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(MissingPackageError, match="pyyaml"):
        merge_metadata("", OURS, CARD)


POOLED: Final = number("llama.pooling_type", 1, U32)
RANKED: Final = number("llama.pooling_type", 4, U32)


@pytest.mark.parametrize(
    ("pairs", "key", "expected"),
    [
        ((), "pipeline_tag", "text-generation"),
        ((POOLED,), "pipeline_tag", "feature-extraction"),
        ((RANKED,), "pipeline_tag", "text-ranking"),
        ((text("general.architecture", "nomic-bert"),), "pipeline_tag", "feature-extraction"),
        ((text("general.architecture", "nomic-bert"),), "tags", ["llamafile", "gguf", "nomic-bert"]),
        ((text("general.license", "Apache-2.0"),), "license", "apache-2.0"),
        ((text("general.license", "My Own Terms"),), "license", "other"),
        ((text("general.license", "My Own Terms"),), "license_name", "My Own Terms"),
        (
            (text("general.license", "other"), text("general.license.link", "https://example.org")),
            "license_link",
            "https://example.org",
        ),
        ((text("general.repo_url", "https://huggingface.co/me/Tiny"),), "base_model", "me/Tiny"),
        ((text("general.repo_url", "https://example.org/me/Tiny"),), "base_model", "base/Tiny-1B"),
        ((text("general.base_model.0.repo_url", "none"),), "base_model", None),
        ((text("general.base_model.0.repo_url", "none"),), "base_model_relation", None),
        (
            (
                number("general.base_model.count", 2, U32),
                text("general.base_model.1.repo_url", "https://huggingface.co/base/Other"),
            ),
            "base_model",
            ["base/Tiny-1B", "base/Other"],
        ),
        ((texts("general.languages", ["de", "no code", "fr"]),), "language", ["de", "fr"]),
    ],
)
def test_metadata_of_the_model(tmp_path: Path, pairs: Sequence[Pair], key: str, expected: object) -> None:
    llamafile = read_llamafile(packed(tmp_path, model_file(tmp_path / "Tiny.Q8_0.gguf", *pairs)))
    assert card_metadata([llamafile]).get(key) == expected


@pytest.mark.parametrize(
    ("encoders", "expected"),
    [(("vision",), "image-text-to-text"), (("audio",), "audio-text-to-text"), (("vision", "audio"), "any-to-any")],
)
def test_a_projector_says_what_the_model_takes(tmp_path: Path, encoders: Sequence[str], expected: str) -> None:
    from tests.builders.gguf import boolean

    projector = model_file(
        tmp_path / "mmproj.gguf",
        text("general.architecture", "clip"),
        text("general.type", "mmproj"),
        *(boolean(f"clip.has_{encoder}_encoder", value=True) for encoder in encoders),
    )
    path = packed(tmp_path, model_file(tmp_path / "Tiny.Q8_0.gguf"))
    add_files(path, [Member(projector.name, projector)], alignment=65536)
    llamafile = read_llamafile(path)
    assert llamafile.metadata.pipeline_tag in {expected, "text-generation"}
    from apepack.provenance.description import renew_manifest

    renew_manifest(path)
    assert read_llamafile(path).metadata.pipeline_tag == expected


def test_large_files_on_windows(tiny: Path) -> None:
    llamafile = replace(read_llamafile(tiny), size=1 << 32)
    assert "Windows starts no file of 4 GiB or more, and so not this one." in renew_card("", [llamafile], CARD)
    llamafile = replace(llamafile, companion=tiny.with_suffix(".exe"))
    assert "On Windows, download `tiny.exe` into the same folder, and start that" in renew_card("", [llamafile], CARD)


def test_signatures_and_origins(tiny: Path) -> None:
    tiny.with_name("tiny.llamafile.sig").write_text("{}")
    llamafile = read_llamafile(tiny)
    (model,) = llamafile.manifest.models
    source = Source("org/repo", "0123", "a.gguf")
    llamafile = replace(llamafile, manifest=replace(llamafile.manifest, models=(replace(model, source=source),)))
    card = renew_card("", [llamafile], CARD)
    assert "apepack verify --key PUBLIC_KEY tiny.llamafile" in card
    assert "Its signature is in `tiny.llamafile.sig`" in card
    assert "`Tiny.Q8_0.gguf` is from org/repo, revision 0123." in card


def test_names_cannot_change_the_card(tmp_path: Path) -> None:
    """A model's name is written by others than the card."""
    name = "Tiny\n\n# <b>[x](y)|`z`\n<!-- apepack: end of a b.llamafile -->"
    path = packed(tmp_path, model_file(tmp_path / "a|b.gguf", text("general.name", name)), "a b.llamafile")
    llamafile = read_llamafile(path)
    card = renew_card("", [llamafile], CARD)
    assert "\n# Tiny # \\<b\\>\\[x\\](y)\\|\\`z\\`" in card
    assert "chmod +x 'a b.llamafile'\n./'a b.llamafile'\n" in card
    assert "| weights `a\\|b.gguf` |" in card
    assert renew_card(card, [llamafile], CARD) == card
    assert "\n" not in llamafile.title


def test_a_file_that_says_nothing(tiny: Path) -> None:
    llamafile = replace(read_llamafile(tiny), metadata=ModelMetadata())
    assert card_metadata([llamafile]) == {"library_name": "llamafile", "tags": ["llamafile", "gguf"]}
