"""States of system prompts are those of one model with its settings, of all kinds of models."""

from __future__ import annotations

import dataclasses
import os
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.acceptance.api.prompts.states import QUESTION, SYSTEM, cached, states, usage, wait_until
from tests.builders.architectures import GEMMA3, Model
from tests.builders.gguf import TinyModel, TinyProjector
from tests.builders.recurrent import write_recurrent

if TYPE_CHECKING:
    from pathlib import Path

    import gguf

    from tests.acceptance.api.prompts.states import Serve


class Gemma(Model):
    """A model with a sliding window that can read any text."""

    def _add_vocabulary(self, writer: gguf.GGUFWriter) -> None:
        TinyModel().add_vocabulary(writer)

    def tensors(self) -> dict[str, np.ndarray]:
        """Return the weights."""
        random = np.random.default_rng(self.seed)
        embeddings = random.standard_normal((TinyModel().vocabulary, self.embedding), dtype=np.float32)
        return {**Model.tensors(self), "token_embd.weight": embeddings}


def test_they_are_those_of_one_model(serve: Serve, tmp_path: Path) -> None:
    """Even if another one has its name, its size and its time."""
    model = tmp_path / "model.gguf"
    for seed in (5, 6):
        TinyModel(context=4096, seed=seed).write(model)
        os.utime(model, (1, 1))
        with serve(model=model) as server:
            assert cached(server) == 0
    with serve(model=model) as server:
        assert cached(server) >= len(SYSTEM)


OTHER_SETTINGS = [
    ("--cache-type-k", "f32"),
    ("--cache-type-v", "f32"),
    ("--rope-freq-base", "20000"),
    ("--flash-attn", "off"),
]


@pytest.mark.parametrize("options", OTHER_SETTINGS, ids=" ".join)
def test_they_are_those_of_one_setting(serve: Serve, options: tuple[str, ...]) -> None:
    with serve() as server:
        cached(server)
    with serve(*options) as server:
        assert cached(server) == 0
    with serve("--cache-ram", "0", "--ubatch-size", "64", "-c", "2048") as server:  # makes no difference
        assert cached(server) >= len(SYSTEM)


def test_a_sliding_window_is_as_without_it(serve: Serve, tmp_path: Path) -> None:
    """A state of its memory cannot be cut."""
    fields = {field.name: getattr(GEMMA3, field.name) for field in dataclasses.fields(GEMMA3)}
    model = Gemma(**fields).write(tmp_path / "gemma.gguf")
    system = SYSTEM[:700]
    question = [{"role": "system", "content": system}, {"role": "user", "content": QUESTION}]
    options = ("-c", "1024")
    with serve(*options, "--cache-disk", 0, model=model) as server:
        expected = usage(server, question)[1]
    for least in (0, 256):
        with serve(*options, model=model) as server:
            known, text = usage(server, question)
            assert known >= least
            assert text == expected
    with serve(*options, model=model) as server:
        assert cached(server, system[:-20]) == 0


def test_a_recurrent_model_is_as_without_it(serve: Serve, tmp_path: Path) -> None:
    """Also for a second question behind the same system prompt."""
    model = write_recurrent(tmp_path / "mamba.gguf")
    questions = [
        [{"role": "system", "content": SYSTEM}, {"role": "user", "content": text}] for text in (QUESTION, "hello")
    ]
    with serve("--cache-disk", 0, model=model) as server:
        expected = [usage(server, question)[1] for question in questions]
    for least in (0, len(SYSTEM)):
        with serve(model=model) as server:
            found = [usage(server, question) for question in questions]
            assert [text for _, text in found] == expected
            assert found[0][0] >= least
            assert found[1][0] >= len(SYSTEM)
    with serve(model=model) as server:
        assert cached(server, SYSTEM[:-20]) == 0


def test_a_model_that_sees_images_has_them_too(serve: Serve, tmp_path: Path) -> None:
    projector = TinyProjector().write(tmp_path / "mmproj.gguf")
    for least in (0, len(SYSTEM)):
        with serve("--mmproj", projector) as server:
            assert cached(server) >= least


def test_a_model_that_drafts_has_states_too(serve: Serve, roomy_model: Path) -> None:
    for least in (0, len(SYSTEM)):
        with serve("-md", roomy_model) as server:
            assert cached(server) >= least


def test_the_models_of_one_server_have_them_too(serve: Serve, home: Path, tmp_path: Path) -> None:
    """Each its own; the processes of the models open no file."""
    models = tmp_path / "models"
    models.mkdir()
    for number, name in enumerate(("one", "two")):
        TinyModel(context=4096, seed=number).write(models / f"{name}.gguf")
    with serve("--models-dir", models, model=None) as server:
        assert cached(server, model="one") == 0
        wait_until(lambda: len(states(home)) == 1)
    with serve("--models-dir", models, model=None) as server:
        assert cached(server, model="two") == 0
        assert cached(server, model="one") >= len(SYSTEM)
    with serve("--models-dir", models, "--cache-disk", 0, model=None) as server:
        assert cached(server, model="one") == 0
