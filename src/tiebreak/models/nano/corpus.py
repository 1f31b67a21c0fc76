"""The texts the nano model is pretrained on: sums, answers to sums, and which of those answers are right.

A text is a template whose numbers are drawn for every batch, on the training device. There are three kinds:

1. a question with its true answer: `What is 3 + 5 ? It is 8.`
2. a question, one to three candidate answers with varying labels, then a verdict on each candidate, or how many
   of them are right: `Prompt: 3 + 5 = ?  Response_a: 8  Response_b: It is 9.  Is Response_a right ? yes`
3. which of two numbers is larger: `Which is larger, 3 or 5 ? 5`

No text compares two answers: fine-tuning teaches that.

Legend of shapes: N templates, L tokens of the longest template.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from tiebreak.models.nano.tokenizer import LARGEST_NUMBER

LARGEST_OPERAND: Final = LARGEST_NUMBER // 2
"""Sums are drawn over all pairs of operands from 0 up to this one."""

# Placeholders in a template for numbers that are drawn later: the two operands, their sum, the larger operand and
# three wrong sums. They are larger than every literal number of a template.
X, Y, SUM, MAXIMUM, *WRONG = range(LARGEST_NUMBER - 6, LARGEST_NUMBER + 1)

_QUESTIONS: Final = (
    *(f"{X} + {Y} = ?",) * 4,
    f"{X} + {Y} =",
    f"{X} plus {Y} = ?",
    f"{X}+{Y}=?",
    f"What is {X} + {Y} ?",
    f"What is {X} plus {Y}?",
    f"How much is {X} + {Y} ?",
    f"How much is {X}+{Y}?",
)
_WORDINGS: Final = (
    *("{}",) * 4,
    "{} .",
    "{}.",
    "It is {} .",
    "It is {}.",
    "The answer is {} .",
    "The answer is {}.",
    "I think it is {}.",
    "I get {}.",
    "You get {} .",
    "That makes {}.",
    "That makes {} .",
    f"{X} + {Y} = {{}}",
    f"{X}+{Y}={{}}",
    f"{X} + {Y} is {{}} .",
    f"{X} plus {Y} makes {{}}.",
    "The sum is {}.",
)
_HEADINGS: Final = ("Prompt: ", "Prompt: ", "Question: ", "")
_LABELS: Final = (
    *(("Response_a", "Response_b", "Response_c"),) * 3,
    ("Answer A", "Answer B", "Answer C"),
    ("Answer 1", "Answer 2", "Answer 3"),
    ("First answer", "Second answer", "Third answer"),
    ("A", "B", "C"),
)
_BREAKS: Final = ("\n\n", " \n\n", "\n\n", "\n")
_RULES: Final = ("\n\n--------\n\n", "\n\n--------\n\n", "\n\n", "\n")
_RIGHT_WRONG: Final = (("right", "wrong"), ("right", "wrong"), ("correct", "incorrect"))


def write_template(rng: random.Random) -> str:
    """A random template; tokens that follow from the drawn numbers (sums, verdicts, counts) are in `{braces}`."""
    kind = rng.random()
    if kind < 0.1:
        return f"{_question(rng)}{rng.choice((' ', *_BREAKS))}{_answer(rng, SUM, '{%s}')}"
    if kind < 0.15:
        larger = rng.choice(
            ("Which is larger , {} or {} ?", "Which one is larger, {} or {}?", "{} or {} , the larger ?")
        )
        return f"{larger.format(X, Y)} {{{MAXIMUM}}}"
    return _judged_answers(rng)


def _question(rng: random.Random) -> str:
    return rng.choice(_HEADINGS) + rng.choice(_QUESTIONS)


def _answer(rng: random.Random, number: int, form: str = "%s") -> str:
    return rng.choice(_WORDINGS).format(form % number)


def _judged_answers(rng: random.Random) -> str:
    count = rng.choices((1, 2, 3), (0.2, 0.6, 0.2))[0]
    right = [rng.random() < 0.5 for _ in range(count)]
    labels = rng.choice(_LABELS)[:count]
    candidates = [
        f"{label}: {_answer(rng, SUM if is_right else rng.choice(WRONG))}"
        for label, is_right in zip(labels, right, strict=True)
    ]
    listing = rng.choice(("\n\n", "\n\n", "\n")).join(candidates)
    return f"{_question(rng)}{rng.choice(_BREAKS)}{listing}{rng.choice(_RULES)}{_verdicts(rng, labels, right)}"


def _verdicts(rng: random.Random, labels: Sequence[str], right: Sequence[bool]) -> str:
    good, bad = rng.choice(_RIGHT_WRONG)
    style = rng.random()
    if style < 0.35:
        return f"How many are {good} ? {{{sum(right)}}}"
    judged = list(zip(labels, right, strict=True))
    rng.shuffle(judged)
    if style < 0.6:
        return " ".join(f"{label} is {{{good if is_right else bad}}} ." for label, is_right in judged)
    asked = [(label, is_right, rng.random() < 0.7) for label, is_right in judged]
    return "\n".join(
        f"Is {label} {good if asks_good else bad} ? {{{'yes' if is_right == asks_good else 'no'}}}"
        for label, is_right, asks_good in asked
    )


@dataclass(frozen=True)
class Templates:
    """Encoded templates on the training device, padded on the right."""

    ids: Tensor
    """(N, L) int64: token ids; the padding id after the end of a template."""
    determined: Tensor
    """(N, L) bool: tokens that are determined, up to the choice of words, by the numbers before them."""
    slot: Tensor
    """(N, L) int64: index of the drawn number at this place, in the order X, Y, SUM, ...; -1 for a literal token."""
    spaced: Tensor
    """(N, L) int64: 1 where the number's token includes the space before it, else 0."""
    number_ids: Tensor
    """(2, numbers) int64: the token ids of the numbers without and with a space before them."""
    yes_no: Tensor
    """(2,) int64: the token ids of the answers to whether a candidate is right."""

    def draw(self, rows: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw random templates and numbers: token ids int64 and `determined` bool, both (rows, L)."""
        device = self.ids.device
        chosen = torch.randint(len(self.ids), (rows,), generator=generator, device=device)
        numbers = draw_numbers(rows, generator)
        slot = self.slot[chosen]
        drawn = self.number_ids[self.spaced[chosen], numbers.gather(1, slot.clamp(min=0))]
        return torch.where(slot < 0, self.ids[chosen], drawn), self.determined[chosen]


def draw_numbers(rows: int, generator: torch.Generator) -> Tensor:
    """Draw the numbers of the slots X, Y, SUM, MAXIMUM and WRONG: (rows, 7) int64, on the generator's device.

    Half of the rows add numbers up to 20. Half of the wrong sums are within 3 of the right one, the others are uniform.
    """

    def integers(low: int, high: int, columns: int) -> Tensor:
        return torch.randint(low, high + 1, (rows, columns), generator=generator, device=generator.device)

    operands = torch.where(integers(0, 1, 1).bool(), integers(0, LARGEST_OPERAND, 2), integers(0, 20, 2))
    total = operands.sum(1, keepdim=True)
    near = total + integers(1, 3, len(WRONG)) * (2 * integers(0, 1, len(WRONG)) - 1)
    wrong = torch.where(integers(0, 1, len(WRONG)).bool(), near, integers(0, LARGEST_NUMBER, len(WRONG)))
    wrong = wrong.abs().clamp(max=LARGEST_NUMBER)
    wrong = torch.where(wrong == total, total + 1, wrong)
    return torch.cat([operands, total, operands.amax(1, keepdim=True), wrong], dim=1)


def compile_templates(
    tokenizer: PreTrainedTokenizerBase, count: int, *, seed: int, device: torch.device | str = "cpu"
) -> Templates:
    """Write `count` templates and encode them once, so that drawing a batch is a few gathers."""
    rng = random.Random(seed)
    rows = [_encode(tokenizer, write_template(rng)) for _ in range(count)]
    length = max(len(ids) for ids, _ in rows)
    ids = torch.tensor([row + [tokenizer.pad_token_id] * (length - len(row)) for row, _ in rows])
    determined = torch.tensor([row + [False] * (length - len(row)) for _, row in rows])
    number_ids = torch.tensor(
        [[tokenizer.convert_tokens_to_ids(f"{space}{n}") for n in range(LARGEST_NUMBER + 1)] for space in ("", "Ġ")]
    )
    slot, spaced = torch.full_like(ids, -1), torch.zeros_like(ids)
    for has_space in (0, 1):
        for index, placeholder in enumerate((X, Y, SUM, MAXIMUM, *WRONG)):
            here = ids == number_ids[has_space, placeholder]
            slot[here], spaced[here] = index, has_space
    yes_no = torch.tensor(tokenizer.convert_tokens_to_ids(["Ġyes", "Ġno"]))
    return Templates(*(tensor.to(device) for tensor in (ids, determined, slot, spaced, number_ids, yes_no)))


def _encode(tokenizer: PreTrainedTokenizerBase, template: str) -> tuple[list[int], list[bool]]:
    """A template's token ids, from `<bos>` to `<eos>`, and whether each was in braces."""
    ids, determined = [tokenizer.bos_token_id], [False]
    for piece in re.split(r"( ?\{\w+\})", template):
        in_braces = piece.endswith("}")
        tokens = tokenizer.encode(re.sub(r"[{}]", "", piece), add_special_tokens=False)
        ids += tokens
        determined += [in_braces] * len(tokens)
    return [*ids, tokenizer.eos_token_id], [*determined, False]
