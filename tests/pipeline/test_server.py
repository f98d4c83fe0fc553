"""The server mode with a real model: the client that most programs use, and an answer that makes sense."""

from __future__ import annotations

from typing import TYPE_CHECKING

import openai

from tests.acceptance.api.servers import serving

if TYPE_CHECKING:
    from pathlib import Path


def test_the_openai_client_gets_an_answer(smollm2: Path, bare: dict[str, str], tmp_path: Path) -> None:
    with (
        serving(["/bin/sh", smollm2, "--nobrowser"], tmp_path / "log", bare) as server,
        openai.OpenAI(base_url=f"http://127.0.0.1:{server.port}/v1", api_key="sk-no-key-required") as client,
    ):
        completion = client.chat.completions.create(
            model="LLaMA_CPP",
            messages=[{"role": "user", "content": "Name the capital of France."}],
            max_tokens=24,
            temperature=0,
        )
    assert "Paris" in (completion.choices[0].message.content or "")
