"""Requests for measurements that depend on the text: an edit of a program, a summary, free text, and text that repeats.

What a good model would answer to the first two is known, and a grammar makes any model answer it: the number of tokens
and the text are the same for all.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

__all__ = ["TASKS", "Task", "same_part"]

_FILE: Final = Path(__file__).with_name("cables.py").read_text()
_OLD, _NEW = "Host", "Machine"
_EDIT: Final = f"Rename the class {_OLD} to {_NEW} in this file. Answer with the whole file.\n\n```python\n{_FILE}```"
_ARTICLE: Final = """\
The harbour of the town was built in 1871, when the railway reached the coast. Until then, boats were drawn up on the
beach by horses, and a storm could take half of them in a night. The engineer, a woman who had learned her trade from
her father, chose granite from the island opposite, which was cheaper to ship than to cart from inland. The western pier
is four hundred metres long, and has a lamp at its end that burned colza oil at first, and gas from 1898. Herring made
the town rich for two generations. In the winter of 1911 more than three hundred boats landed their catch, and the
curing yards gave work to two thousand people from all over the north. When the shoals went away after the war, the
yards closed one after the other, and the town lost a third of its people within ten years. Today the harbour has
yachts in summer, a ferry to the island, and eleven boats that fish for crab and lobster."""
_SUMMARY: Final = """\
A railway town got a stone harbour in the late nineteenth century, designed by a female engineer who saved money by
using rock brought over by sea. It replaced an unsafe shore where vessels were often wrecked. Fishing brought decades
of wealth and thousands of jobs, until stocks collapsed following the First World War and many inhabitants left. Now
tourism, a passenger service and a small shellfish fleet remain."""


@dataclass(frozen=True, slots=True)
class Task:
    """A request for a completion."""

    name: str
    question: str
    tokens_max: int
    start: str = ""  # of the answer, which belongs to the prompt
    answer: str = ""  # that the model must give; empty: it is free

    def request(self) -> dict[str, Any]:
        """Return the fields of the request."""
        prompt = f"<|im_start|>user\n{self.question}<|im_end|>\n<|im_start|>assistant\n{self.start}"
        request: dict[str, Any] = {"prompt": prompt, "n_predict": self.tokens_max}
        if self.answer:
            return {**request, "grammar": f"root ::= {json.dumps(self.answer)}"}
        return {**request, "ignore_eos": True}

    def check(self, answer: str) -> None:
        """Raise ValueError unless ANSWER is the one that the model must give, if there is one."""
        if self.answer and answer != self.answer:
            raise ValueError(f"{self.name}: got another answer than the grammar allows: {answer!r}")


TASKS: Final = (
    Task("code editing", _EDIT, 2048, "```python\n", _FILE.replace(_OLD, _NEW)),
    Task("summary", f"Summarise this text.\n\n{_ARTICLE}", 512, answer=_SUMMARY),
    Task("free text", "Write a story about a lighthouse keeper who finds a letter in a bottle.", 128),
    Task("repetitive text", _EDIT, 384),  # a small model describes the file, and soon repeats itself
)


def same_part(answer: str, other: str) -> float:
    """Return which part of OTHER, from its start, ANSWER has too; 1 if OTHER is empty."""
    differences = (place for place, (one, two) in enumerate(zip(answer, other, strict=False)) if one != two)
    return next(differences, min(len(answer), len(other))) / len(other) if other else 1.0
