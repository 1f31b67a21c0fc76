"""A trained judge, loaded from its run folder: comparisons in, verdicts out."""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, get_args

import numpy as np

from tiebreak.comparison import OUTCOMES, Comparison, Outcome
from tiebreak.errors import ModelError
from tiebreak.judging import tournament
from tiebreak.quiet import quiet_loading
from tiebreak.run import RunFolder

if TYPE_CHECKING:
    import pandas as pd
    import torch
    from numpy.typing import NDArray
    from torch import nn

    from tiebreak.model import Precision, TokenBudget
    from tiebreak.text import Encoder

Swap = Literal["none", "average"]
"""`none` judges as given; `average` judges both orders and takes the mean, so that no side has the first word."""

Merge = Literal["bf16", "fp8"]
"""In what the weights are held once the adapter is merged into them."""

GPU_TOKENS: Final = 16384
"""Tokens a pass on a GPU: with nothing kept for a backward pass it takes little memory, and is halved if need be."""

ALL_PAIRS: Final = 8
"""Up to so many answers every pair is compared: 28 of 8."""

RANKED_AT_ONCE: Final = 64
"""Prompts whose comparisons are judged together."""

Turns = str | Sequence[str]
"""One turn, or the turns of a conversation in order."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How likely people are to prefer A, to prefer B, or to call it a tie; the three sum to 1."""

    model_a: float
    model_b: float
    tie: float
    tokens_lost: int = 0
    """Tokens that were cut because the comparison was longer than the judge reads."""

    @property
    def answer(self) -> Outcome:
        """The likeliest outcome; of two that are exactly alike the first in the order A, B, tie."""
        return OUTCOMES[int(np.argmax((self.model_a, self.model_b, self.tie)))]


@dataclass(frozen=True, slots=True)
class Ranking:
    """Answers to one prompt, scored against each other."""

    rewards: tuple[float, ...]
    """In nats, of mean 0 over these answers: they say nothing about answers to another prompt."""
    ranks: tuple[int, ...]
    """1 for the best; equals share a rank, and the next one is left out."""
    comparisons: int
    """Pairs that were judged."""
    tokens_lost: int = 0
    """Tokens that were cut, over all these comparisons."""

    @property
    def best(self) -> int:
        """Number of the best answer, from 0; of several that are exactly alike the first."""
        return self.ranks.index(1)


class Judge:
    """Compares answers. Made by `load_judge`.

    A verdict depends on nothing but its comparison: not on what else is judged with it, nor on how much at once. (In
    int8 it does, a little: LLM.int8() chooses its outlier columns over a whole pass.)
    """

    def __init__(self, model: nn.Module, encoder: Encoder, compute_dtype: torch.dtype, budget: TokenBudget) -> None:
        self._model = model
        self._encoder = encoder
        self._compute_dtype = compute_dtype
        self._budget = budget

    def compare(self, prompt: Turns, a: Turns, b: Turns, *, swap: Swap = "none") -> Verdict:
        """Judge two answers to a prompt.

        Args:
            prompt: what was asked; a list holds the user's turns of a conversation.
            a: the first answer; a list holds the replies to each turn.
            b: the second answer, likewise.
            swap: judge as given, or both orders.

        Raises:
            TypeError: one of them is neither a text nor a list of texts.
            ValueError: prompt and answers differ in their number of turns.
        """
        comparison = Comparison(_turns("prompt", prompt), _turns("a", a), _turns("b", b))
        return self.compare_many([comparison], swap=swap)[0]

    def compare_many(
        self,
        comparisons: Sequence[Comparison],
        *,
        swap: Swap = "none",
        on_progress: Callable[[int], None] | None = None,
    ) -> list[Verdict]:
        """Judge any number of comparisons; much faster than one by one.

        Args:
            comparisons: what to judge; their votes, if any, are not looked at.
            swap: judge as given, or both orders.
            on_progress: called with the number of token sequences judged since the last call, one a comparison, or
                two with `swap="average"`.

        Returns:
            A verdict a comparison, in the same order.

        Raises:
            MemoryBudgetError: a single comparison does not fit into memory.
            ModelError: the model's numbers are not finite.
        """
        from tiebreak.model import predict_logits

        if swap not in get_args(Swap):
            raise ValueError(f"swap is {swap!r}: it is one of {', '.join(map(repr, get_args(Swap)))}")
        both = swap == "average"
        orders = [c for comparison in comparisons for c in ((comparison, comparison.swap()) if both else (comparison,))]
        encoded = self._encoder.encode(orders)
        logits = predict_logits(
            self._model,
            [e.ids for e in encoded],
            compute_dtype=self._compute_dtype,
            budget=self._budget,
            groups=[i // 2 for i in range(len(orders))] if both else None,
            on_progress=on_progress,
        )
        if not np.isfinite(logits).all():
            raise ModelError(
                f"The judge's logits are not finite for {int((~np.isfinite(logits)).any(axis=1).sum()):,} of "
                f"{len(logits):,} texts: its training diverged, or the compute type is too narrow for the base model. "
                "Train anew with a lower training.learning_rate, or with model.compute_dtype=float32."
            )
        probabilities = _softmax(logits.astype(np.float64))
        if both:
            probabilities = (probabilities[0::2] + probabilities[1::2][:, [1, 0, 2]]) / 2
        lost = [e.tokens_lost for e in encoded[:: 2 if both else 1]]
        return [Verdict(a, b, tie, n) for (a, b, tie), n in zip(probabilities.tolist(), lost, strict=True)]

    def rank(self, prompt: Turns, answers: Sequence[Turns], *, swap: Swap = "average") -> Ranking:
        """Score any number of answers to a prompt against each other.

        Args:
            prompt: as in `compare`.
            answers: each as in `compare`.
            swap: judge pairs as given, or in both orders.

        Raises:
            TypeError: one of them is neither a text nor a list of texts.
            ValueError: prompt and answers differ in their number of turns.
            ComparisonsError: there are no answers.
        """
        if isinstance(answers, str):
            raise TypeError(f"answers is {reprlib.repr(answers)}: it is a list of answers")
        asked = _turns("prompt", prompt)
        return self.rank_many([(asked, [_turns(f"answers[{i}]", a) for i, a in enumerate(answers)])], swap=swap)[0]

    def rank_many(
        self,
        rows: Sequence[tuple[Sequence[str], Sequence[Sequence[str]]]],
        *,
        swap: Swap = "average",
        on_progress: Callable[[int], None] | None = None,
    ) -> list[Ranking]:
        """Score the answers to each of many prompts; much faster than one by one where they have few answers.

        Up to `ALL_PAIRS` answers every pair is compared, above that a Swiss tournament is held, and rewards are fitted
        to the verdicts under Davidson's model of ties (`tiebreak.judging.tournament`).

        Args:
            rows: for each prompt its turns, and the turns of each answer.
            swap: judge pairs as given, or in both orders.
            on_progress: called with the number of prompts done since the last call.

        Returns:
            A ranking a prompt, in the same order.

        Raises:
            ValueError: prompt and answers differ in their number of turns.
            ComparisonsError: a prompt has no answers.
            MemoryBudgetError, ModelError: as in `compare_many`.
        """
        rankings = []
        for first in range(0, len(rows), RANKED_AT_ONCE):
            some = rows[first : first + RANKED_AT_ONCE]
            pairs = [
                (row, pair)
                for row, (_, answers) in enumerate(some)
                if len(answers) <= ALL_PAIRS
                for pair in combinations(range(len(answers)), 2)
            ]
            known = dict(zip(pairs, self._judge_pairs([(*some[row], pair) for row, pair in pairs], swap), strict=True))
            for row in range(len(some)):
                rankings.append(self._tournament(row, some[row], known, swap))
                if on_progress is not None:
                    on_progress(1)
        return rankings

    def _judge_pairs(
        self, pairs: Sequence[tuple[Sequence[str], Sequence[Sequence[str]], tuple[int, int]]], swap: Swap
    ) -> list[Verdict]:
        asked = [
            Comparison(tuple(prompt), tuple(answers[a]), tuple(answers[b])) for prompt, answers, (a, b) in pairs
        ]  # fmt: skip
        return self.compare_many(asked, swap=swap)

    def _tournament(
        self,
        row: int,
        asked: tuple[Sequence[str], Sequence[Sequence[str]]],
        known: dict[tuple[int, tuple[int, int]], Verdict],
        swap: Swap,
    ) -> Ranking:
        """The ranking of one prompt's answers, from verdicts that are known, or asked for round by round."""
        lost = 0

        def compare(pairs: list[tuple[int, int]]) -> list[tuple[float, float, float]]:
            nonlocal lost
            unknown = [pair for pair in pairs if (row, pair) not in known]
            fresh = dict(zip(unknown, self._judge_pairs([(*asked, pair) for pair in unknown], swap), strict=True))
            verdicts = [fresh[pair] if pair in fresh else known[row, pair] for pair in pairs]
            lost += sum(verdict.tokens_lost for verdict in verdicts)
            return [(v.model_a, v.model_b, v.tie) for v in verdicts]

        standings = tournament(len(asked[1]), compare, all_pairs_up_to=ALL_PAIRS)
        return Ranking(
            tuple(standings.rewards.tolist()), tuple(standings.ranks.tolist()), standings.comparisons, lost
        )  # fmt: skip

    def compare_frame(self, frame: pd.DataFrame, *, swap: Swap = "none") -> pd.DataFrame:
        """Judge a DataFrame with the columns `prompt`, `response_a`, `response_b`.

        Cells hold a text (or a number, which is taken as its text), or a JSON list of turns. Columns beyond these are
        not looked at.

        Returns:
            A new frame on the same index: `winner_model_a`, `winner_model_b`, `winner_tie` (probabilities), `answer`.

        Raises:
            DataError: a column is missing or a row cannot be used; all such rows are named.
        """
        import pandas as pd

        from tiebreak.data import from_frame
        from tiebreak.data.layout import PAIR, WINNERS

        unread = (*WINNERS, "winner", *PAIR)  # all else is left to `from_frame`, which names what is misspelt
        verdicts = self.compare_many(from_frame(frame[[c for c in frame.columns if c not in unread]]), swap=swap)
        return pd.DataFrame(
            {
                "winner_model_a": [v.model_a for v in verdicts],
                "winner_model_b": [v.model_b for v in verdicts],
                "winner_tie": [v.tie for v in verdicts],
                "answer": [v.answer for v in verdicts],
            },
            index=frame.index,
        )


def load_judge(
    run: str | Path,
    *,
    base_model: str | None = None,
    device: str | None = None,
    tokens_per_pass: int | None = None,
    merge: Merge | None = None,
    tell: Callable[[str], None] | None = None,
) -> Judge:
    """Load a judge from a run folder.

    Args:
        run: the folder `tiebreak train` made.
        base_model: where the base model is now, if not where it was in training.
        device: `cpu`, `cuda`, `cuda:1`; by default a GPU where there is one.
        tokens_per_pass: tokens that go through the model at once; by default what training used, on a GPU more.
        merge: round the weights with the adapter in them to bfloat16 or FP8, from the full-precision base: faster for
            many comparisons, and not quite the judge that was trained (on a base in 4 bits, say).
        tell: called with a sentence when that is halved because memory ran out.

    Raises:
        RunError: the folder holds no trained model.
        ModelError: the base model cannot be had, or the device is not there.
    """
    folder = RunFolder(run)
    folder.refuse_if_untrained()
    import torch

    from tiebreak.model import (
        TokenBudget,
        fuse,
        load_base,
        load_tokenizer,
        load_trained,
        merge_trained,
        read_card,
        refuse_unsupported,
        resolve_compute_dtype,
    )
    from tiebreak.text import Encoder, Template

    card = read_card(folder.model)
    place = _device(device)
    with quiet_loading():
        name = base_model or card.base_model
        model: nn.Module
        if merge is None:
            compute_dtype = resolve_compute_dtype(card.compute_dtype, card.precision, place)
            base = load_base(
                name,
                revision=card.revision,
                precision=card.precision,
                compute_dtype=card.compute_dtype,
                device=place,
            )
            model = load_trained(base, folder.model)
        else:
            compute_dtype = resolve_compute_dtype("auto", merge, place)
            refuse_unsupported(merge, compute_dtype, place)
            held: Precision = "bf16" if place.type == "cuda" or merge == "bf16" else "fp32"
            base = load_base(name, revision=card.revision, precision=held, device=torch.device("cpu"))
            model = merge_trained(base, folder.model, merge, place)
    fuse(model, compute_dtype)
    encoder = Encoder(load_tokenizer(str(folder.model)), Template(card.template), card.max_length)
    usual = max(card.tokens_per_pass, GPU_TOKENS) if place.type == "cuda" else card.tokens_per_pass
    budget = TokenBudget(max(tokens_per_pass or usual, card.max_length), tell)
    return Judge(model, encoder, compute_dtype, budget)


def _device(name: str | None) -> torch.device:
    import torch

    from tiebreak.model import default_device

    if name is None:
        return default_device()
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ModelError(f"There is no device {name!r} here ({str(error).partition(chr(10))[0]}). Try cpu.") from error
    return device


def _turns(name: str, text: Turns) -> tuple[str, ...]:
    turns = (text,) if isinstance(text, str) else text
    if not isinstance(turns, Sequence) or not all(isinstance(turn, str) for turn in turns):
        raise TypeError(f"{name} is {reprlib.repr(text)}: it is a text, or a list of texts, one a turn")
    return tuple(turns)


def _softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    result: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return result
