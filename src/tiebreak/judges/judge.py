"""What every judge can do, whichever head it has."""

from __future__ import annotations

import reprlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from copy import copy
from typing import TYPE_CHECKING, Self

from tiebreak.errors import ModelError
from tiebreak.judges.answer_order import Swap, swap_verdict
from tiebreak.judges.verdicts import HeadOutput, InputLimits, Ranking, Score, Verdict
from tiebreak.types import Comparison, Conversation

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from tiebreak.calibration import Calibration

Turns = str | Sequence[str]
"""One turn, or the turns of a conversation in order."""


class Judge(ABC):
    """Compares answers and scores them. Made by `load_judge`.

    A verdict depends on nothing but its comparison, a reward on nothing but its prompt and answer: not on what else is
    judged with it, nor on how much at once, but for rounding (1e-6 in float32). (In int8 it does, a little: LLM.int8()
    chooses its outlier columns over a whole pass. With `swap="uncertain:SHARE"` it does by intent.)
    """

    def __init__(self, calibration: Calibration | None = None) -> None:
        self._calibration = calibration

    @property
    def calibration(self) -> Calibration | None:
        """What its probabilities go through; rewards do not."""
        return self._calibration

    def recalibrated(self, calibration: Calibration | None) -> Self:
        """The same judge, whose probabilities go through another calibration, or through none."""
        other = copy(self)
        other._calibration = calibration
        return other

    @property
    @abstractmethod
    def gives_rewards(self) -> bool:
        """Whether it can score an answer alone."""

    @property
    def is_symmetric(self) -> bool:
        """Whether it says the same in both orders by construction, so that the second order is no more work."""
        return self.texts(1, "average") == self.texts(1, "none")

    @property
    def reads(self) -> InputLimits | None:
        """How much it reads, and around what; None where that is not one language model's."""
        return None

    @abstractmethod
    def texts(self, comparisons: int, swap: Swap) -> int:
        """How many texts it reads for so many comparisons."""

    def compare(self, prompt: Turns, a: Turns, b: Turns, *, swap: Swap = "none") -> Verdict:
        """Judge two answers to a prompt.

        Args:
            prompt: what was asked; a list holds the user's turns of a conversation.
            a: the first answer; a list holds the replies to each turn.
            b: the second answer, likewise.
            swap: judge as given, or both orders.

        Raises:
            TypeError: one of them is neither a text nor a list of texts.
            ValueError: prompt and answers differ in their number of turns, or `swap` is none.
        """
        comparison = Comparison(as_turns("prompt", prompt), as_turns("a", a), as_turns("b", b))
        return self.compare_many([comparison], swap=swap)[0]

    @abstractmethod
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
            swap: judge as given, or both orders, of all of them or of the least certain ones. A judge that gives
                rewards says the same in both.
            on_progress: called with the number of texts judged since the last call; `texts` says how many these are.

        Returns:
            A verdict a comparison, in the same order.

        Raises:
            ValueError: `swap` is none.
            MemoryBudgetError: a single comparison does not fit into memory.
            ModelError: the model's numbers are not finite.
        """

    def compare_orders(
        self, comparisons: Sequence[Comparison], *, on_progress: Callable[[int], None] | None = None
    ) -> list[tuple[Verdict, Verdict]]:
        """Judge each comparison as given and with its answers exchanged, and say what either order gave.

        Their mean is what `compare_many` says with `swap="average"`; how far they lie apart is how much the judge
        minds which answer comes first.

        Args:
            comparisons: as in `compare_many`.
            on_progress: as in `compare_many`; `texts` with `average` says how many there are.

        Returns:
            Two verdicts a comparison, in the same order: both tell its A as `model_a`, whichever came first.

        Raises:
            MemoryBudgetError, ModelError: as in `compare_many`.
        """
        if self.is_symmetric:
            return [(verdict, verdict) for verdict in self.compare_many(comparisons, on_progress=on_progress)]
        orders = [order for comparison in comparisons for order in comparison.orders]
        both = self._compare_each(orders, on_progress)
        return [(given, swap_verdict(other)) for given, other in zip(both[0::2], both[1::2], strict=True)]

    def _compare_each(self, orders: Sequence[Comparison], on_progress: Callable[[int], None] | None) -> list[Verdict]:
        """Judge the two orders of each comparison, which follow each other."""
        return self.compare_many(orders, on_progress=on_progress)

    def score(self, prompt: Turns, answer: Turns) -> Score:
        """The reward of one answer to a prompt.

        Args:
            prompt: as in `compare`.
            answer: as in `compare`.

        Raises:
            TypeError: one of them is neither a text nor a list of texts.
            ValueError: prompt and answer differ in their number of turns.
            ModelError: the judge compares answers and has no reward for one alone.
        """
        return self.score_many([Conversation(as_turns("prompt", prompt), as_turns("answer", answer))])[0]

    @abstractmethod
    def score_many(
        self,
        conversations: Sequence[Conversation],
        *,
        groups: Sequence[int] | None = None,
        on_progress: Callable[[int], None] | None = None,
    ) -> list[Score]:
        """The rewards of any number of answers; much faster than one by one.

        Args:
            conversations: what to score.
            groups: a number for each; those with the same one are taken to begin alike, and what they share is computed
                once. It changes no reward. By default those with the same first prompt.
            on_progress: called with the number of answers scored since the last call.

        Returns:
            A score a conversation, in the same order.

        Raises:
            ModelError: the judge compares answers and has no reward for one alone, or the model's numbers are not
                finite.
            MemoryBudgetError: a single answer does not fit into memory.
        """

    def rank(self, prompt: Turns, answers: Sequence[Turns], *, swap: Swap = "average") -> Ranking:
        """Score any number of answers to a prompt, and rank them.

        Args:
            prompt: as in `compare`.
            answers: each as in `compare`.
            swap: judge pairs as given, or in both orders. A judge that gives rewards says the same in both.

        Raises:
            TypeError: one of them is neither a text nor a list of texts.
            ValueError: prompt and answers differ in their number of turns, or `swap` is none for rankings.
            ComparisonsError: there are no answers.
        """
        if isinstance(answers, str):
            raise TypeError(f"answers is {reprlib.repr(answers)}: it is a list of answers")
        asked = as_turns("prompt", prompt)
        return self.rank_many([(asked, [as_turns(f"answers[{i}]", a) for i, a in enumerate(answers)])], swap=swap)[0]

    @abstractmethod
    def rank_many(
        self,
        rows: Sequence[tuple[Sequence[str], Sequence[Sequence[str]]]],
        *,
        swap: Swap = "average",
        on_progress: Callable[[int], None] | None = None,
    ) -> list[Ranking]:
        """Score and rank the answers to each of many prompts; much faster than one by one where they have few answers.

        Args:
            rows: for each prompt its turns, and the turns of each answer.
            swap: judge pairs as given, or in both orders, all of them: a ranking is not to depend on what else is
                ranked with it. A judge that gives rewards says the same in both.
            on_progress: called with the number of prompts done since the last call.

        Returns:
            A ranking a prompt, in the same order.

        Raises:
            ValueError: prompt and answers differ in their number of turns, or `swap` is none for rankings.
            ComparisonsError: a prompt has no answers.
            MemoryBudgetError, ModelError: as in `compare_many`.
        """

    def read_many(self, texts: Sequence[str | Sequence[int]]) -> list[HeadOutput]:
        """What the head gives for texts that were rendered in the judge's template elsewhere, or for their token ids.

        One BOS leads each, whether it had none, one or several; special tokens that are spelled out later in a text
        stay plain text. What is longer than the judge reads loses its beginning.

        Raises:
            ModelError: the judge has no head of its own (a classical judge, a blend), or the model's numbers are not
                finite.
            ValueError: an id is no token's.
            MemoryBudgetError: a single text does not fit into memory.
        """
        del texts
        raise ModelError(
            "This judge has no head that reads a text: name the run of a fine-tuned model, or compare two answers."
        )

    def compare_frame(self, frame: pd.DataFrame, *, swap: Swap = "none") -> pd.DataFrame:
        """Judge a DataFrame with the columns `prompt`, `response_a`, `response_b`.

        Cells hold a text (or a number, which is taken as its text), or a JSON list of turns. Columns beyond these are
        not looked at.

        Returns:
            A new frame on the same index: `winner_model_a`, `winner_model_b`, `winner_tie` (probabilities), `answer`.

        Raises:
            DataError: a column is missing or a row cannot be used; all such rows are named.
        """
        from tiebreak.judges.dataframes import comparisons_from_frame, verdicts_frame

        return verdicts_frame(self.compare_many(comparisons_from_frame(frame), swap=swap), frame.index)


def calibrated(probabilities: NDArray[np.float64], calibration: Calibration | None) -> NDArray[np.float64]:
    """Probabilities [n, 3] after the calibration, if there is one."""
    return probabilities if calibration is None else calibration.apply(probabilities)


def as_turns(name: str, text: Turns) -> tuple[str, ...]:
    """The turns that were given, by the name of the argument they were given as.

    Raises:
        TypeError: it is neither a text nor a list of texts.
    """
    turns = (text,) if isinstance(text, str) else text
    if not isinstance(turns, Sequence) or not all(isinstance(turn, str) for turn in turns):
        raise TypeError(f"{name} is {reprlib.repr(text)}: it is a text, or a list of texts, one a turn")
    return tuple(turns)
