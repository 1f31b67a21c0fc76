"""The rules of benchmarks, on verdicts whose scores are worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from math import tanh

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiebreak.benchmarks.definitions import Choice, Orders
from tiebreak.benchmarks.judgebench import JUDGEBENCH
from tiebreak.benchmarks.labelled_pairs import score_pairs
from tiebreak.benchmarks.llmbar import LLMBAR
from tiebreak.benchmarks.mt_bench import MT_BENCH
from tiebreak.benchmarks.rewardbench import REWARDBENCH
from tiebreak.benchmarks.rewardbench2 import REWARDBENCH_2
from tiebreak.benchmarks.scoring import Ratio, Score, Total, mean_of, measure
from tiebreak.errors import DataError
from tiebreak.judges import Verdict
from tiebreak.types import A_WINS, B_WINS, TIE, Comparison, Vote

A, B, EVEN = Verdict(0.5, 0.2, 0.3), Verdict(0.2, 0.5, 0.3), Verdict(0.3, 0.3, 0.4)
LIKELY_TIE = Verdict(0.3, 0.2, 0.5)
"""A tie, and if it is none, A."""


def row(number: int, subset: str, vote: Vote = A_WINS) -> Comparison:
    return Comparison((f"prompt {number}",), ("one",), ("two",), vote, tags=(("source", subset),))


def values(scores: list[Score]) -> dict[str, float]:
    return {score.name: score.estimate.value for score in scores}


def test_own_pairs_of_weight_k_count_as_k() -> None:
    rows = [row(i, "ab"[i % 2]) for i in range(8)]
    orders: list[Orders] = [(A, A if i % 3 else B) if i % 4 else (B, B) for i in range(8)]
    counts = (1, 3, 2, 1, 2, 1, 4, 2)
    weighted = score_pairs([replace(r, weight=float(k)) for r, k in zip(rows, counts, strict=True)], orders)
    copied = [i for i, k in enumerate(counts) for _ in range(k)]
    copies = score_pairs([rows[i] for i in copied], [orders[i] for i in copied])
    assert values(weighted) == pytest.approx(values(copies), rel=1e-12)
    assert values(weighted) != pytest.approx(values(score_pairs(rows, orders)), abs=1e-3)
    assert [score.rows for score in weighted] == [None, 4, 4, 8]


def test_rewardbench_weights_subsets_into_sections_and_sections_alike() -> None:
    rows = [
        row(1, "alpacaeval-easy"), row(2, "alpacaeval-easy"), row(3, "mt-bench-med", B_WINS),
        row(4, "llmbar-natural"), row(5, "donotanswer"), row(6, "math-prm"), row(7, "hep-cpp"),
    ]  # fmt: skip
    orders: list[Orders] = [(A, A), (B, B), (B, B), (A, B), (LIKELY_TIE, LIKELY_TIE), (A, EVEN), (B, EVEN)]
    scores = REWARDBENCH.score(rows, orders)
    found = values(scores)
    # A draw is lost; which of the two wins is asked, whatever becomes of ties.
    assert found["alpacaeval-easy"] == 0.5
    assert found["llmbar-natural"] == 0.0
    assert found["Safety"] == 1.0
    assert found["Chat"] == pytest.approx((100 * 0.5 + 40 * 1.0) / 140)
    assert found["Reasoning"] == pytest.approx(984 / (984 + 164))
    assert found["RewardBench"] == pytest.approx((90 / 140 + 0 + 1 + 984 / 1148) / 4)
    assert scores[0].name == "RewardBench"
    assert scores[0].missing == ()
    assert "mt-bench-easy" in next(score.missing for score in scores if score.name == "Chat")


def test_llmbar_is_the_mean_of_both_orders_and_of_the_sets() -> None:
    rows = [row(1, "Natural"), row(2, "Natural", B_WINS), row(3, "Manual"), row(4, "GPTOut")]
    found = values(LLMBAR.score(rows, [(A, B), (B, B), (B, B), (EVEN, A)]))
    assert found["Natural"] == 0.75
    assert found["Natural: orders agree"] == 0.5
    assert found["Manual: orders agree"] == 1.0
    assert found["GPTOut"] == 0.5
    assert found["Adversarial"] == 0.25
    assert found["LLMBar"] == pytest.approx((0.75 + 0 + 0.5) / 3)


def test_judgebench_asks_for_more_orders_right_than_wrong() -> None:
    rows = [row(i, subset) for i, subset in enumerate(("Knowledge", "Knowledge", "Coding", "Coding"))]
    found = values(JUDGEBENCH.score(rows, [(A, A), (A, B), (A, EVEN), (B, EVEN)]))
    assert found["JudgeBench"] == 0.5
    assert found["Knowledge"] == found["Coding"] == 0.5
    assert found["orders agree"] == 0.25


def test_mt_bench_counts_votes_with_and_without_ties() -> None:
    asked = Comparison(("first",), ("one",), ("two",), A_WINS, tags=(("source", "turn 1"),))
    votes = [asked, Comparison(asked.prompt, asked.answer_a, asked.answer_b, TIE, tags=asked.tags), asked]
    other = Comparison(("other",), ("one",), ("two",), B_WINS, tags=(("source", "turn 1"),))
    found = values(MT_BENCH.score([*votes, other], [(A, A)] * 3 + [(A, B)]))
    assert found["turn 1, with ties"] == 0.5  # on the last its orders differ: a tie
    assert found["turn 1, without ties"] == 1.0  # of the two votes where neither says tie
    assert found["turn 1, with ties: people with each other"] == pytest.approx(1 / 3)
    assert found["turn 1, without ties: people with each other"] == 1.0
    assert not any(name.startswith("turn 2") for name in found)


def test_rewardbench_2_takes_the_best_of_four_and_shares_first_places() -> None:
    choices = [choice(i, "Math", 4, 1) for i in range(4)]
    found = values(
        REWARDBENCH_2.score(choices, [(2, 1, 0, 1), (1, 2, 0, 0), (1, 1, 0, 0), (1, 1, 1, 1)])
    )  # fmt: skip
    assert found["Math"] == (1 + 0 + 1 / 2 + 1 / 4) / 4
    assert found["RewardBench 2"] == found["Math"]


def test_rewardbench_2_ties_by_hand() -> None:
    choices = [choice("ref:1", "Ties", 3, 1), choice("tied:1", "Ties", 4, 2), choice("ref:2", "Ties", 2, 1)]
    choices += [choice("tied:2", "Ties", 3, 2)]
    rewards = [
        (5.0, 4.0, 1.0),  # right by 1
        (3.0, 2.5, 1.0, 0.0),  # right by 1.5, spread 0.5
        (0.0, 1.0),  # wrong by 1
        (4.0, 1.0, 0.0),  # right by 1, spread 3
    ]
    found = values(REWARDBENCH_2.score(choices, rewards))
    one, many, closer, both = 0.5, 1.0, 0.5, 0.5
    margin = (tanh(1 / 0.5 - 1) + tanh(-1 / 3 - 1)) / 2
    assert found["Ties"] == pytest.approx(0.3 * many + 0.3 * one + 0.2 * closer + 0.2 * both + 0.01 * margin)
    assert found["RewardBench 2"] == pytest.approx(found["Ties"])


def test_rewardbench_2_ties_whose_right_answers_are_exactly_alike() -> None:
    choices = [choice("ref:1", "Ties", 2, 1), choice("tied:1", "Ties", 3, 2)]
    assert values(REWARDBENCH_2.score(choices, [(1.0, 0.0), (2.0, 2.0, 0.0)]))["Ties"] == pytest.approx(1.01)
    # 0 / 0 counts as no margin: that is how the reference has it.
    assert values(REWARDBENCH_2.score(choices, [(1.0, 1.0), (2.0, 2.0, 2.0)]))["Ties"] == 0.0


def test_rewardbench_2_ties_need_both_kinds_of_questions() -> None:
    found = REWARDBENCH_2.score([choice("tied:1", "Ties", 3, 2), choice(1, "Math", 4, 1)], [(2, 1, 0), (1, 0, 0, 0)])
    assert "Ties" not in values(found)
    assert found[0].name == "RewardBench 2"
    assert "Ties" in found[0].missing


@given(st.lists(st.sampled_from([(A, A), (A, B), (B, A), (B, B), (EVEN, A)]), min_size=1, max_size=20))
def test_swapping_every_comparison_changes_no_score(orders: list[Orders]) -> None:
    rows = [row(i, "GPTInst", A_WINS if i % 3 else B_WINS) for i in range(len(orders))]
    swapped = [
        (Verdict(q.model_b, q.model_a, q.tie), Verdict(p.model_b, p.model_a, p.tie)) for p, q in orders
    ]  # fmt: skip
    for rule in (REWARDBENCH.score, LLMBAR.score, JUDGEBENCH.score, score_pairs):
        assert values(rule([c.swap() for c in rows], swapped)) == values(rule(rows, orders))


def test_a_perfect_judge_gets_one_everywhere() -> None:
    rows = [row(i, "Natural", A_WINS if i % 2 else B_WINS) for i in range(8)]
    orders: list[Orders] = [(A, A) if i % 2 else (B, B) for i in range(8)]
    for rule in (REWARDBENCH.score, LLMBAR.score, JUDGEBENCH.score, score_pairs):
        assert set(values(rule(rows, orders)).values()) == {1.0}


def test_intervals_are_of_what_a_score_is_made_of() -> None:
    """A part with one row leaves the intervals of the others alone, and makes that of a total wide."""
    hits = [1.0, 0.0] * 20 + [1.0]
    ratios = [mean_of("many", hits, [True] * 40 + [False]), mean_of("one", hits, [False] * 40 + [True])]
    totals = [Total("both", {"many": 1.0, "one": 3.0}), Total("all of it", {"many": 0.5, "none": 1.0}, normalise=False)]
    scores = {score.name: score for score in measure(ratios, totals, [str(i) for i in range(41)])}
    assert scores["both"].estimate.value == pytest.approx((0.5 + 3) / 4)
    assert "all of it" not in scores
    alone = measure([mean_of("many", hits, [True] * 40 + [False])], [], [str(i) for i in range(41)])
    assert scores["many"].estimate == alone[0].estimate
    assert 0 < scores["many"].estimate.low < 0.5 < scores["many"].estimate.high < 1
    assert scores["many"].rows == 40
    one = scores["one"].estimate
    assert (one.value, one.high) == (1, 1)
    assert one.low == pytest.approx(0.05)  # the p at which P(1 of 1) / 2 = 2.5 %
    # Independent parts: the squares of the distances add up.
    many, both = scores["many"].estimate, scores["both"].estimate
    assert both.value - both.low == pytest.approx(np.hypot(0.25 * (0.5 - many.low), 0.75 * 0.95))


def test_nothing_to_score() -> None:
    with pytest.raises(DataError, match="No row"):
        measure([Ratio("none", [0.0], [0.0])], [], ["a"])


def choice(identity: object, subset: str, answers: int, right: int) -> Choice:
    return Choice(str(identity), subset, (f"question {identity}",), tuple((str(i),) for i in range(answers)), right)
