"""Generation of a text from a prompt, token by token.

Each token depends on all tokens before it; their keys and values are cached (see attention), so that every step reads
one token. Generation ends when the model ends the text, a reverse prompt appears, the token limit is reached, or the
context is full.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from runtime.errors import PromptError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from runtime.portable.sampling import Sampler
    from runtime.portable.tokenizer import Tokenizer

__all__ = ["UNLIMITED", "UNTIL_FULL", "Generation", "Model"]

# Special token limits: UNLIMITED reports a full context, UNTIL_FULL ends there as expected.
UNLIMITED: Final = -1
UNTIL_FULL: Final = -2


class Model(Protocol):
    """A model that computes logits: see transformer."""

    context: int
    position: int

    def forward(self, tokens: Sequence[int]) -> NDArray[np.float32]:
        """Read TOKENS, and return the logits of the next token: (vocabulary,)."""


class Generation:
    """One text.

    Args:
        model: the model; it has read no token yet.
        tokenizer: that of the model.
        sampler: chooses the next token.
        prompt: the beginning of the text.
        stops: reverse prompts; the first one in the generated text ends it.

    Raises:
        PromptError: the prompt is empty, or longer than the context.
    """

    def __init__(
        self, model: Model, tokenizer: Tokenizer, sampler: Sampler, prompt: str, stops: Sequence[bytes] = ()
    ) -> None:
        self.context_is_full = False  # whether the text ended for this reason
        self._model = model
        self._tokenizer = tokenizer
        self._sampler = sampler
        self._stops = [stop for stop in stops if stop]
        self._pending = tokenizer.encode(prompt)
        size = len(self._pending)
        if size == 0:
            reason = "the prompt is empty, and this model adds no token at the beginning; give one with -p or -f"
            raise PromptError(reason)
        if size >= model.context:
            reason = f"the prompt has {size} tokens, but the context holds only {model.context}"
            raise PromptError(f"{reason}; give a larger one with -c")

    def pieces(self, count: int = UNLIMITED) -> Iterator[bytes]:
        """Yield the bytes of each token, COUNT tokens at most. A piece may begin or end within a character."""
        text = b""
        while count != 0:
            if self._model.position + len(self._pending) > self._model.context:
                self.context_is_full = True
                return
            token = self._sampler.next(self._model.forward(self._pending))
            self._pending = [token]
            is_end = token in self._tokenizer.eog
            piece = b"" if is_end else self._tokenizer.piece(token)
            text += piece
            end = self._stop_end(text, len(piece))
            if end is not None:
                yield piece[: len(piece) - (len(text) - end)]  # the token may continue after it
                return
            yield piece
            if is_end:
                return
            count -= 1

    def _stop_end(self, text: bytes, piece_size: int) -> int | None:
        """Return the end of the first reverse prompt that ends within the last PIECE_SIZE bytes of TEXT."""
        ends = []
        for stop in self._stops:
            found = text.find(stop, max(0, len(text) - piece_size - len(stop)))
            if found >= 0:
                ends.append(found + len(stop))
        return min(ends, default=None)
