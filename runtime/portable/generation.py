"""Generation: a prompt goes in, and the text comes out as its tokens are chosen.

Each token is computed from all before it; what the model made of those is kept (see attention), so that every step
reads one token. It goes on until the model ends the text, a reverse prompt stands in it, there are as many tokens as
were asked for, or the context is full.
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

# How many tokens; without a limit, it is said that the context is full, and otherwise that was to be expected.
UNLIMITED: Final = -1
UNTIL_FULL: Final = -2


class Model(Protocol):
    """What computes: see transformer."""

    context: int
    position: int

    def forward(self, tokens: Sequence[int]) -> NDArray[np.float32]:
        """Read TOKENS, and return how likely each token of the vocabulary comes next, as logits: (vocabulary,)."""


class Generation:
    """One text.

    Args:
        model: what computes; it has read nothing yet.
        tokenizer: the model's own.
        sampler: how to choose among what the model finds likely.
        prompt: what the text begins with.
        stops: reverse prompts; the first that is written is the text's end.

    Raises:
        PromptError: the prompt is empty, or longer than the context.
    """

    def __init__(
        self, model: Model, tokenizer: Tokenizer, sampler: Sampler, prompt: str, stops: Sequence[bytes] = ()
    ) -> None:
        self.context_is_full = False  # whether it ended because there was no room for more
        self._model = model
        self._tokenizer = tokenizer
        self._sampler = sampler
        self._stops = [stop for stop in stops if stop]
        self._pending = tokenizer.encode(prompt)
        size = len(self._pending)
        if size == 0:
            reason = "the prompt is empty and this model begins with no token of its own; give one with -p or -f"
            raise PromptError(reason)
        if size >= model.context:
            reason = f"the prompt has {size} tokens, but the context holds only {model.context}"
            raise PromptError(f"{reason}; give a larger one with -c")

    def pieces(self, count: int = UNLIMITED) -> Iterator[bytes]:
        """Yield what each token adds to the text, COUNT tokens at most. A piece may begin or end within a character."""
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
                yield piece[: len(piece) - (len(text) - end)]  # a token may go on behind it
                return
            yield piece
            if is_end:
                return
            count -= 1

    def _stop_end(self, text: bytes, piece_size: int) -> int | None:
        """Return where the first reverse prompt ends that ends within the last PIECE_SIZE bytes of TEXT."""
        ends = []
        for stop in self._stops:
            found = text.find(stop, max(0, len(text) - piece_size - len(stop)))
            if found >= 0:
                ends.append(found + len(stop))
        return min(ends, default=None)
