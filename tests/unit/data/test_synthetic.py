"""Synthetic comparisons: votes follow from arithmetic, and the two splits share no sum."""

import re
from collections import Counter
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiebreak.data.synthetic import LARGEST_OPERAND, SEED_EXAMPLES, arithmetic_comparisons, operand_pairs
from tiebreak.types import A_WINS, B_WINS, TIE, Comparison

SPLITS = ("train", "validation")
splits = st.sampled_from(SPLITS)
seeds = st.integers(0, 2**32)


def numbers(text: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", text)]


def vote_by_arithmetic(comparison: Comparison) -> tuple[float, float, float]:
    x, y = numbers(comparison.prompt[0])
    right_a = numbers(comparison.answer_a[0])[-1] == x + y
    right_b = numbers(comparison.answer_b[0])[-1] == x + y
    return TIE if right_a == right_b else A_WINS if right_a else B_WINS


@given(st.integers(1, 60), seeds, splits)
def test_every_vote_follows_from_arithmetic(rows, seed, split):
    comparisons = arithmetic_comparisons(rows, seed=seed, split=split)
    assert len(comparisons) == rows
    for comparison in comparisons:
        assert comparison.vote == vote_by_arithmetic(comparison)
        assert comparison.swap().vote == vote_by_arithmetic(comparison.swap())


def test_the_seeds_examples_agree_with_arithmetic():
    assert [example.vote for example in SEED_EXAMPLES] == [vote_by_arithmetic(example) for example in SEED_EXAMPLES]
    assert [example.vote for example in SEED_EXAMPLES] == [A_WINS, A_WINS, TIE]


def test_the_seeds_examples_are_never_trained_on():
    assert not {tuple(numbers(example.prompt[0])) for example in SEED_EXAMPLES} & set(operand_pairs("train"))


def test_every_operand_pair_belongs_to_exactly_one_split():
    train, validation = (set(operand_pairs(split)) for split in SPLITS)
    every = {(x, y) for x in range(LARGEST_OPERAND + 1) for y in range(x, LARGEST_OPERAND + 1)}
    assert train | validation == every
    assert not train & validation
    assert 0.15 < len(validation) / len(every) < 0.25


def test_the_split_of_operand_pairs_is_the_same_on_every_machine():
    assert len(operand_pairs("validation")) == 91
    assert operand_pairs("validation")[:4] == ((0, 0), (0, 2), (0, 3), (0, 12))


@given(seeds, splits)
def test_rows_use_the_operand_pairs_of_their_split_in_either_order(seed, split):
    pairs = set(operand_pairs(split))
    for comparison in arithmetic_comparisons(30, seed=seed, split=split):
        x, y = numbers(comparison.prompt[0])
        assert (min(x, y), max(x, y)) in pairs


@pytest.mark.parametrize("split", SPLITS)
def test_outcomes_are_equally_frequent(split):
    votes = Counter(row.vote for row in arithmetic_comparisons(999, seed=3, split=split))
    assert votes == {A_WINS: 333, B_WINS: 333, TIE: 333}


def test_half_of_the_ties_have_two_right_answers():
    ties = [row for row in arithmetic_comparisons(6000, seed=0, split="train") if row.vote == TIE]
    both_right = fmean(numbers(row.answer_a[0])[-1] == sum(numbers(row.prompt[0])) for row in ties)
    assert both_right == pytest.approx(0.5, abs=0.04)  # 3.6 standard errors of 2,000 coin flips


def test_wording_and_position_are_independent_of_the_vote():
    """Swapping all rows does not change the share of worded answers per side and outcome."""
    rows = arithmetic_comparisons(6000, seed=1, split="train")

    def worded(comparisons, vote):
        return fmean(not row.answer_a[0].isdigit() for row in comparisons if row.vote == vote)

    swapped = [row.swap() for row in rows]
    for vote in (A_WINS, B_WINS, TIE):
        assert worded(rows, vote) == pytest.approx(0.5, abs=0.04)
        assert worded(swapped, vote) == pytest.approx(0.5, abs=0.04)


@given(st.integers(1, 40), seeds, splits)
def test_the_same_arguments_give_the_same_rows(rows, seed, split):
    first = arithmetic_comparisons(rows, seed=seed, split=split)
    assert first == arithmetic_comparisons(rows, seed=seed, split=split)
    assert len({row.id for row in first}) == rows


def test_another_seed_draws_other_rows():
    one, two = (arithmetic_comparisons(300, seed=seed, split="train") for seed in (0, 1))
    same = sum(
        (a.prompt, a.answer_a, a.answer_b) == (b.prompt, b.answer_a, b.answer_b) for a, b in zip(one, two, strict=True)
    )
    assert same < 10
