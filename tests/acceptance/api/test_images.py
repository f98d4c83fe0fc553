"""Images in prompts: what the model sees, in every format and from everywhere, and what is no image."""

from __future__ import annotations

import base64
import json
import struct
from typing import TYPE_CHECKING

import pytest

from tests.acceptance.api.completions import ENVIRONMENT, Completer, packed_program
from tests.acceptance.api.servers import serving
from tests.builders.gguf import TinyModel, TinyProjector
from tests.builders.image import Picture
from zipalign import Member

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ONE = Picture()
OTHER = Picture(((255, 0), (30, 200)))
FORMATS: dict[str, Callable[[Picture], bytes]] = {
    "jpg": Picture.jpeg,
    "png": Picture.png,
    "gif": Picture.gif,
    "bmp": Picture.bmp,
}
TEXT = ("--temp", "0", "-n", "16", "--ignore-eos", "--no-display-prompt")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Each picture in each format."""
    folder = tmp_path_factory.mktemp("images")
    for suffix, encode in FORMATS.items():
        (folder / f"one.{suffix}").write_bytes(encode(ONE))
        (folder / f"other.{suffix}").write_bytes(encode(OTHER))
    return folder


@pytest.fixture(scope="module")
def tiny(program: Path, folder: Path, tiny_model: Path) -> Completer:
    """A model that sees; its archive has a picture too."""
    projector = TinyProjector().write(folder / "mmproj.gguf")
    members = [Member("tiny.gguf", tiny_model), Member("mmproj.gguf", projector), Member("x.jpg", ONE.jpeg())]
    packed = packed_program(program, folder, *members)
    return Completer((str(packed), "-m", "tiny.gguf", "--mmproj", "mmproj.gguf", "-c", "256", *TEXT))


def data_address(image: bytes, kind: str = "png") -> str:
    return f"data:image/{kind};base64,{base64.b64encode(image).decode()}"


def test_every_format_shows_the_same(tiny: Completer, folder: Path) -> None:
    seen = {tiny.text("-p", "hi", "--image", folder / f"one.{suffix}") for suffix in FORMATS}
    others = {tiny.text("-p", "hi", "--image", folder / f"other.{suffix}") for suffix in FORMATS}
    assert (len(seen), len(others)) == (1, 1)
    assert seen != others
    assert tiny.text("-p", "hi") not in seen | others


def test_a_gif_is_its_first_frame(tiny: Completer, folder: Path, tmp_path: Path) -> None:
    film = tmp_path / "film.gif"
    film.write_bytes(ONE.gif(OTHER))
    assert tiny.text("-p", "hi", "--image", film) == tiny.text("-p", "hi", "--image", folder / "one.gif")


def test_an_image_in_the_archive(tiny: Completer, folder: Path) -> None:
    seen = tiny.text("-p", "hi", "--image", folder / "one.png")
    assert tiny.text("-p", "hi", "--image", "x.jpg") == seen
    assert tiny.text("-p", "hi", "--image", "/zip/x.jpg") == seen


def test_an_image_in_the_prompt(tiny: Completer, folder: Path) -> None:
    tag = f'<img src="{data_address(ONE.png())}">'
    assert tiny.text("-p", f"{tag}hi") == tiny.text("-p", "hi", "--image", folder / "one.png")
    assert tiny.text("-p", f"h{tag}i") == tiny.text("-p", "h<image>i", "--image", folder / "one.png")
    assert tiny.text("-p", f"h{tag}i") != tiny.text("-p", f"{tag}hi")


def test_several_images(tiny: Completer, folder: Path) -> None:
    sensitive = tiny.with_("--temp", 2, "-n", 64, "-s", 1)  # the likeliest token alone does not tell their order
    one, other = folder / "one.png", folder / "other.png"
    both = sensitive.text("-p", "hi", "--image", one, "--image", other)
    assert both == sensitive.text("-p", "hi", "--image", f"{one},{other}")
    assert both != sensitive.text("-p", "hi", "--image", other, "--image", one)
    placed = sensitive.text("-p", "h<image>i<image>j", "--image", one, "--image", other)
    assert placed != sensitive.text("-p", "h<image>i<image>j", "--image", other, "--image", one)


def test_the_prompt_is_taken_as_it_is(tiny: Completer, folder: Path) -> None:
    result = tiny.run("--display-prompt", "-p", "A <image>, and: ", "--image", folder / "one.png", "-n", 0)
    assert (result.returncode, result.stdout) == (0, b"A <image>, and: \n")
    assert tiny.text("-p", "<image>", "--display-prompt", "-n", 0) == b"<image>\n"  # no image, no place for one


def test_turns_after_an_image(tiny: Completer, folder: Path) -> None:
    options = ("--image", folder / "one.png", "-if", "-r", "User:", "--grammar", 'root ::= " Yes.\\nUser:"')
    assert tiny.text(*options, "-p", "Look.", stdin=b"hi\nyou\n") == b" Yes.\nUser: Yes.\nUser:\n"


def bomb() -> bytes:
    """A PNG of a few bytes that claims 20000 x 20000 pixels."""
    image = ONE.png()
    return image[:16] + struct.pack(">II", 20000, 20000) + image[24:]


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (b"", "it is empty"),
        (b"years of work", "it is no JPEG, PNG, GIF or BMP file"),
        (b"RIFF\0\0\0\0WAVEfmt ", "it is no JPEG, PNG, GIF or BMP file"),
        (ONE.png()[:40], "it is damaged"),
        (ONE.jpeg()[:30], "it is damaged"),
        (ONE.bmp()[:20], "it is damaged"),
        (b"\x89PNG\r\n\x1a\n", "it is damaged"),
        (bomb(), "20000 x 20000 pixels"),
    ],
    ids=["empty", "text", "sound", "cut png", "cut jpeg", "cut bmp", "only a signature", "bomb"],
)
def test_what_is_no_image(tiny: Completer, tmp_path: Path, image: bytes, words: str) -> None:
    file = tmp_path / "image"
    file.write_bytes(image)
    assert words in tiny.sentence("-p", "hi", "--image", file)
    assert words in tiny.sentence("-p", f'hi<img src="{data_address(image)}">there')


def test_no_image_does_harm(tiny: Completer, folder: Path, tmp_path: Path) -> None:
    """Each format with bytes changed: a picture, or one sentence."""
    file = tmp_path / "image"
    for suffix in FORMATS:
        image = (folder / f"one.{suffix}").read_bytes()
        for at in range(3, len(image), len(image) // 8):
            file.write_bytes(image[:at] + bytes([image[at] ^ 0xA5]) + image[at + 1 :])
            result = tiny.run("-p", "hi", "-n", 1, "--image", file)
            assert result.returncode in (0, 1)
            assert result.stderr.count(b"\n") == result.returncode


def test_what_else_can_be_wrong(tiny: Completer, folder: Path, tmp_path: Path, tiny_model: Path) -> None:
    image = folder / "one.png"
    assert "no such file" in tiny.sentence("-p", "hi", "--image", "missing.png")
    assert "cannot use the image" in tiny.sentence("-p", "hi", "--image", tmp_path)
    assert "the prompt ends with an image" in tiny.sentence("-p", "", "--image", image)
    assert "'--image' needs a value" in tiny.sentence("-p", "hi", "--image")
    assert "base 64" in tiny.sentence("-p", 'hi<img src="data:image/png;base64,?">')
    assert "base64" in tiny.sentence("-p", 'hi<img src="data:image/png,x">')
    assert "the prompt has" in tiny.sentence("-p", "word " * 200, "--image", image)
    assert "no file 'missing.gguf'" in tiny.sentence("-p", "hi", "--image", image, "--mmproj", "missing.gguf")
    assert "cannot load the projector" in tiny.sentence("-p", "hi", "--image", image, "--mmproj", tiny_model)
    other = TinyProjector(text_embedding=48).write(tmp_path / "other.gguf")
    assert "cannot load the projector" in tiny.sentence("-p", "hi", "--image", image, "--mmproj", other)
    blind = Completer((tiny.command[0], "-m", str(tiny_model)))
    assert "needs a projector" in blind.sentence("-p", "hi", "--image", image)


def test_a11_a_question_about_an_image(tiny: Completer, tmp_path: Path) -> None:
    """Through the API, as the web page asks."""
    program = tiny.command[0]
    command = [program, "--server", "-m", "tiny.gguf", "--mmproj", "mmproj.gguf"]
    answers = []
    with serving(command, tmp_path / "log", ENVIRONMENT) as server:
        for picture, suffix in ((ONE, "jpg"), (ONE, "png"), (OTHER, "png")):
            image = {"type": "image_url", "image_url": {"url": data_address(FORMATS[suffix](picture), suffix)}}
            content = [{"type": "text", "text": "What do you see?"}, image]
            status, answer = server.chat(content, temperature=0, max_tokens=24, logprobs=True)
            assert status == 200, answer
            answers.append(json.loads(answer)["choices"][0]["logprobs"])
        image = {"type": "image_url", "image_url": {"url": data_address(b"no image")}}
        assert server.chat([image])[0] == 400
        assert server.chat()[0] == 200
    assert answers[0] == answers[1] != answers[2]


def test_an_image_for_a_model_with_other_layers(folder: Path, tmp_path: Path, tiny: Completer) -> None:
    """A projector fits every model of its width."""
    model = TinyModel(layers=2, seed=9).write(tmp_path / "two.gguf")
    texts = [tiny.text("-m", model, "-p", "hi", "--image", folder / f"{name}.png") for name in ("one", "other")]
    assert texts[0] != texts[1]
