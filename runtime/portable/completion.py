"""A completion: model, tokenizer and sampler, made from a file and the settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from runtime.portable.generation import Generation
from runtime.portable.hyperparameters import read_hyperparameters
from runtime.portable.prompt import unescape
from runtime.portable.sampling import Sampler
from runtime.portable.tokenizer import read_tokenizer
from runtime.portable.transformer import Transformer
from runtime.portable.weights import Weights

if TYPE_CHECKING:
    from runtime.gguf.header import GgufHeader
    from runtime.portable.settings import Settings

__all__ = ["make_sampler", "start_completion"]

_PREFIX: Final = "general.sampling."  # of the publisher's recommendations


def start_completion(data: memoryview, prompt: bytes, settings: Settings) -> Generation:
    """Return the generation of a text that begins with PROMPT, by the model in the GGUF file DATA.

    Raises:
        GgufFormatError: the file is damaged.
        ModelError: the model is not supported.
        PromptError: the prompt is empty, or longer than the context.
    """
    weights = Weights(data, cache=settings.caches_weights)
    model = Transformer(weights, settings.context_size or read_hyperparameters(weights).context_size)
    tokenizer = read_tokenizer(weights.header)
    stops = [stop.encode(errors="surrogateescape") for stop in settings.stops]
    if settings.processes_escapes:
        stops = [unescape(stop) for stop in stops]
    text = prompt.decode(errors="surrogateescape")
    return Generation(model, tokenizer, make_sampler(settings, weights.header), text, stops)


def make_sampler(settings: Settings, header: GgufHeader) -> Sampler:
    """Return the sampler with the values of SETTINGS, else those of the file, else the engine's defaults."""

    def chosen(given: float | None, key: str, default: float) -> float:
        recommended = header.metadata.get(f"{_PREFIX}{key}", default)
        return given if given is not None else recommended if isinstance(recommended, int | float) else default

    return Sampler(
        chosen(settings.temperature, "temp", 0.8),
        int(chosen(settings.top_k, "top_k", 40)),
        chosen(settings.top_p, "top_p", 0.95),
        chosen(settings.min_p, "min_p", 0.05),
        seed=settings.seed,
    )
