"""The interface of all judges."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from copy import copy
from typing import TYPE_CHECKING, Self

from tiebreak.errors import ModelError
from tiebreak.judges.answer_order import Swap, swap_verdict
from tiebreak.judges.prompts import Answer, Prompt, as_comparison, as_conversation
from tiebreak.judges.verdicts import HeadOutput, InputLimits, Ranking, Score, Verdict
from tiebreak.types import Comparison, Conversation

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from tiebreak.calibration import Calibration


class Judge(ABC):
    """Compares answers and scores them. `load_judge` returns one.

    A verdict depends only on its comparison, and a reward only on its prompt and answer. Neither depends on the other
    inputs of a call or on the batch size, up to rounding (1e-6 in float32). There are two exceptions: LLM.int8()
    chooses its outlier columns over a whole pass, and `swap="uncertain:SHARE"` selects comparisons by all verdicts of a
    call.
    """

    def __init__(self, calibration: Calibration | None = None) -> None:
        self._calibration = calibration

    @property
    def calibration(self) -> Calibration | None:
        """The calibration of its probabilities. Rewards are not calibrated."""
        return self._calibration

    def recalibrated(self, calibration: Calibration | None) -> Self:
        """The same judge with another calibration, or without one."""
        other = copy(self)
        other._calibration = calibration
        return other

    @property
    @abstractmethod
    def gives_rewards(self) -> bool:
        """Whether it can score a single answer."""

    @property
    def is_symmetric(self) -> bool:
        """Whether it gives the same probabilities in both orders by construction, at no extra cost."""
        return self.texts(1, "average") == self.texts(1, "none")

    @property
    def reads(self) -> InputLimits | None:
        """Its length limits and template; None unless it is a single language model."""
        return None

    @abstractmethod
    def texts(self, comparisons: int, swap: Swap) -> int:
        """The number of texts it reads for this number of comparisons."""

    def compare(self, prompt: Prompt, a: Answer, b: Answer, *, swap: Swap = "none") -> Verdict:
        """Judge two answers to a prompt.

        Args:
            prompt: the prompt; a list of the user's turns of a conversation; or its messages, each with `role` and
                `content` (a text or a list of parts), up to the last one of the user. They may begin with a system or
                developer message, and hold tool calls and results.
            a: the first answer; a list of the replies to each turn; or messages, the last reply or the whole
                conversation, to which the prompt may be empty. To a prompt of messages, a text is the last reply.
            b: the second answer, likewise.
            swap: the order of the answers: as given, or both.

        Raises:
            TypeError: one of them is neither a string, a list of strings nor a list of messages, or a message is not
                text, as an image is not.
            ValueError: prompt and answers differ in their number of turns, the messages do not end in a text of the
                assistant, or `swap` is not valid.
        """
        return self.compare_many([as_comparison(prompt, a, b)], swap=swap)[0]

    @abstractmethod
    def compare_many(
        self,
        comparisons: Sequence[Comparison],
        *,
        swap: Swap = "none",
        on_progress: Callable[[int], None] | None = None,
    ) -> list[Verdict]:
        """Judge any number of comparisons; much faster than one call each.

        Args:
            comparisons: what to judge. Votes are ignored. `tiebreak.judges.as_comparison` makes one from what
                `compare` takes, such as messages.
            swap: the order of the answers: as given, both, or both for the least certain comparisons. A judge that
                gives rewards has the same probabilities in both.
            on_progress: called with the number of texts judged since the last call; `texts` returns the total.

        Returns:
            One verdict per comparison, in the same order.

        Raises:
            ValueError: `swap` is not valid.
            MemoryBudgetError: a single comparison does not fit in memory.
            ModelError: the model's outputs are not finite.
        """

    def compare_orders(
        self, comparisons: Sequence[Comparison], *, on_progress: Callable[[int], None] | None = None
    ) -> list[tuple[Verdict, Verdict]]:
        """Judge each comparison in both orders, and return both verdicts.

        Their mean is the verdict of `compare_many` with `swap="average"`; their difference measures position bias.

        Args:
            comparisons: as in `compare_many`.
            on_progress: as in `compare_many`; `texts` with `average` returns the total.

        Returns:
            Two verdicts per comparison, in the order of the comparisons; `model_a` is the comparison's A in both.

        Raises:
            MemoryBudgetError, ModelError: as in `compare_many`.
        """
        if self.is_symmetric:
            return [(verdict, verdict) for verdict in self.compare_many(comparisons, on_progress=on_progress)]
        orders = [order for comparison in comparisons for order in comparison.orders]
        verdicts = self._compare_each(orders, on_progress)
        return [
            (as_given, swap_verdict(swapped)) for as_given, swapped in zip(verdicts[0::2], verdicts[1::2], strict=True)
        ]

    def _compare_each(self, orders: Sequence[Comparison], on_progress: Callable[[int], None] | None) -> list[Verdict]:
        """Judge the two orders of each comparison; the orders of one comparison are adjacent."""
        return self.compare_many(orders, on_progress=on_progress)

    def score(self, prompt: Prompt, answer: Answer) -> Score:
        """The reward of one answer to a prompt.

        Args:
            prompt: as in `compare`.
            answer: as in `compare`.

        Raises:
            TypeError, ValueError: as in `compare`.
            ModelError: the judge is pairwise and has no reward for a single answer.
        """
        return self.score_many([as_conversation(prompt, answer)])[0]

    @abstractmethod
    def score_many(
        self,
        conversations: Sequence[Conversation],
        *,
        groups: Sequence[int] | None = None,
        on_progress: Callable[[int], None] | None = None,
    ) -> list[Score]:
        """The rewards of any number of answers; much faster than one call each.

        Args:
            conversations: what to score. `tiebreak.judges.as_conversation` makes one from what `score` takes.
            groups: a number per conversation; a common prefix of those with the same number is computed once. Rewards
                do
                not depend on it. By default, conversations with the same first prompt are one group.
            on_progress: called with the number of answers scored since the last call.

        Returns:
            One score per conversation, in the same order.

        Raises:
            ModelError: the judge is pairwise and has no reward for a single answer, or the model's outputs are not
                finite.
            MemoryBudgetError: a single answer does not fit in memory.
        """

    def rank(self, prompt: Prompt, answers: Sequence[Answer], *, swap: Swap = "average") -> Ranking:
        """Score and rank any number of answers to a prompt.

        Args:
            prompt: as in `compare`.
            answers: each as in `compare`.
            swap: judge pairs as given, or in both orders. It does not change rankings of a judge that gives rewards.

        Raises:
            TypeError, ValueError: as in `compare`; `swap` is `none` or `average`.
            ComparisonsError: there are no answers.
        """
        return self.rank_many([(prompt, answers)], swap=swap)[0]

    @abstractmethod
    def rank_many(
        self,
        rows: Sequence[tuple[Prompt, Sequence[Answer]]],
        *,
        systems: Sequence[str] | None = None,
        swap: Swap = "average",
        on_progress: Callable[[int], None] | None = None,
    ) -> list[Ranking]:
        """Score and rank the answers to many prompts; much faster than one call each where prompts have few answers.

        Args:
            rows: each a prompt and its answers, as in `rank`.
            systems: the system message of each prompt, which its first turn begins with, as in `Comparison`; empty for
                a prompt without one. By default none has one. A prompt of messages may hold it instead.
            swap: judge pairs as given, or in both orders, all of them: a ranking is not to depend on what else is
                ranked with it. A judge that gives rewards says the same in both.
            on_progress: called with the number of prompts done since the last call.

        Returns:
            A ranking a prompt, in the same order.

        Raises:
            TypeError, ValueError: as in `rank`; or a prompt does not begin with its system message.
            ComparisonsError: a prompt has no answers.
            MemoryBudgetError, ModelError: as in `compare_many`.
        """

    def read_many(self, texts: Sequence[str | Sequence[int]]) -> list[HeadOutput]:
        """The head's outputs for texts that are already in the judge's template, or for their token ids.

        Each starts with exactly one BOS token, whatever it starts with. Special tokens that are spelled out later in a
        text stay plain text. A text longer than the judge's limit loses its beginning.

        Raises:
            ModelError: the judge has no head of its own (a baseline or a blend), or the model's outputs are not finite.
            ValueError: an id is not a token of the judge, or a text is given and the judge reads chats.
            MemoryBudgetError: a single text does not fit in memory.
        """
        del texts
        raise ModelError(
            "This judge has no head that reads a text. Use the run of a fine-tuned model, or compare two answers."
        )

    def logits_many(self, comparisons: Sequence[Comparison]) -> list[HeadOutput]:
        """The head's outputs for comparisons in the given order, truncated as in `compare_many`.

        Raises:
            ModelError: the judge is not a pairwise one with a head of its own, or the model's outputs are not finite.
            MemoryBudgetError: a single comparison does not fit in memory.
        """
        del comparisons
        raise ModelError(
            "This judge has no logits for comparisons. Use the run of a pairwise model, or compare two answers."
        )

    def compare_frame(self, frame: pd.DataFrame, *, swap: Swap = "none") -> pd.DataFrame:
        """Judge a DataFrame with the columns `prompt`, `response_a`, `response_b`.

        Cells hold a text, a number (read as text), a list of turns or messages. A column `system` holds a system
        message. Other columns are ignored.

        Returns:
            A new frame on the same index: `winner_model_a`, `winner_model_b`, `winner_tie` (probabilities), `answer`.

        Raises:
            DataError: a column is missing or a row cannot be used; the message lists all such rows.
        """
        from tiebreak.judges.dataframes import comparisons_from_frame, verdicts_frame

        return verdicts_frame(self.compare_many(comparisons_from_frame(frame), swap=swap), frame.index)


def calibrated(probabilities: NDArray[np.float64], calibration: Calibration | None) -> NDArray[np.float64]:
    """Probabilities [n, 3], calibrated if there is a calibration."""
    return probabilities if calibration is None else calibration.apply(probabilities)
