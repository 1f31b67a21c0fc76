"""MT-Bench's human judgements: how often a judge agrees with an expert."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from tiebreak.benchmarks.cells import name
from tiebreak.benchmarks.definitions import Description, Orders, PairBenchmark, Source, subset_of
from tiebreak.benchmarks.scoring import Ratio, Score, mean_of, measure
from tiebreak.data import UnreadableError, short_repr
from tiebreak.types import A_WINS, B_WINS, OUTCOMES, TIE, Comparison, Outcome
from tiebreak.unicode import clean_text


def _read(file: str, cells: dict[str, Any]) -> Comparison | None:
    """A vote of an expert; those of the authors and of machines are not scored."""
    if not name(cells, "judge").startswith("expert"):
        return None
    turn, winner = cells.get("turn"), cells.get("winner")
    if turn not in (1, 2):
        raise UnreadableError("turn", "not_text", f"is {short_repr(turn)}: expected 1 or 2")
    if not isinstance(winner, str) or not (winner in ("model_a", "model_b") or "tie" in winner):
        raise UnreadableError("winner", "not_text", f"is {short_repr(winner)}: expected model_a, model_b or tie")
    (prompt, a), (prompt_of_b, b) = (_turns(cells, f"conversation_{side}", int(turn)) for side in "ab")
    if prompt != prompt_of_b:
        raise UnreadableError("conversation_b", "prompt_mismatch", "has other prompts than conversation_a")
    vote = A_WINS if winner == "model_a" else B_WINS if winner == "model_b" else TIE
    models = name(cells, "model_a"), name(cells, "model_b")
    tags = (("model_a", models[0]), ("model_b", models[1]), ("source", f"turn {turn}"))
    comparison = Comparison(prompt, a, b, vote, tags=tags)
    # Each model has a fixed side, so that all votes on the same answers belong to one comparison.
    return comparison if models[0] <= models[1] else comparison.swap()


def _turns(cells: dict[str, Any], column: str, turns: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Prompts and answers up to the turn of the vote."""
    messages = cells.get(column)
    shown = messages[: 2 * turns] if isinstance(messages, list) else []
    contents = [m.get("content") for m in shown if isinstance(m, dict)]
    roles = [m.get("role") for m in shown if isinstance(m, dict)]
    if roles != ["user", "assistant"] * turns or not all(isinstance(content, str) for content in contents):
        message = f"is {short_repr(messages)}: expected messages of user and assistant in turn, {turns} of each"
        raise UnreadableError(column, "roles", message)
    texts = [clean_text(str(content)) for content in contents]
    return tuple(texts[0::2]), tuple(texts[1::2])


def _scores(comparisons: Sequence[Comparison], orders: Sequence[Orders]) -> list[Score]:
    decisions = [_decision(verdicts) for verdicts in orders]
    votes: list[Outcome] = [OUTCOMES[(c.vote or TIE).index(1.0)] for c in comparisons]
    agreement = [float(decision == vote) for decision, vote in zip(decisions, votes, strict=True)]
    keys = [(c.prompt, c.answer_a, c.answer_b, c.tags) for c in comparisons]
    ratios = []
    for turn in ("turn 1", "turn 2"):
        of_turn = [subset_of(c) == turn for c in comparisons]
        vote_decides = [included and vote != "tie" for included, vote in zip(of_turn, votes, strict=True)]
        both_decide = [included and d != "tie" for included, d in zip(vote_decides, decisions, strict=True)]
        ratios += [
            mean_of(f"{turn}, with ties", agreement, of_turn),
            mean_of(f"{turn}, without ties", agreement, both_decide),
            _people(f"{turn}, with ties: people with each other", keys, votes, of_turn),
            _people(f"{turn}, without ties: people with each other", keys, votes, vote_decides),
        ]
    return measure(ratios, [], [c.folded_prompt for c in comparisons])


def _decision(verdicts: Orders) -> Outcome:
    """The answer of both orders; a tie where they differ."""
    first, second = (verdict.answer for verdict in verdicts)
    return first if first == second else "tie"


def _people(title: str, keys: Sequence[Any], votes: Sequence[Outcome], included: Sequence[bool]) -> Ratio:
    """How often two experts gave the same vote on the same answers, over all such pairs of votes.

    Args:
        title: the name of the ratio.
        keys: [rows], equal for votes on the same answers.
        votes: [rows].
        included: [rows], whether the vote counts.
    """
    earlier_votes: dict[Any, Counter[Outcome]] = {}
    equal, pairs = [], []
    for key, vote, is_included in zip(keys, votes, included, strict=True):
        earlier = earlier_votes.setdefault(key, Counter())
        equal.append(float(earlier[vote]) if is_included else 0.0)
        pairs.append(float(earlier.total()) if is_included else 0.0)
        if is_included:
            earlier[vote] += 1
    return Ratio(title, equal, pairs)


MT_BENCH: Final = PairBenchmark(
    about=Description(
        name="mt-bench",
        title="MT-Bench human judgements (Zheng et al. 2023)",
        rule=(
            "How often the judge says what an expert voted, over votes and turn by turn: with ties (a judge whose two "
            "orders differ says tie), and without (where neither calls it a tie)."
        ),
    ),
    source=Source(
        "lmsys/mt_bench_human_judgments",
        ("data/human-*.parquet", "human*.parquet", "human*.json*", "*.parquet", "*.jsonl", "*.json"),
    ),
    columns=("question_id", "model_a", "model_b", "winner", "judge", "conversation_a", "conversation_b", "turn"),
    read=_read,
    score=_scores,
)
"""L. Zheng et al. (2023), "Judging LLM-as-a-judge with MT-Bench and Chatbot Arena", arXiv:2306.05685, section 4."""
