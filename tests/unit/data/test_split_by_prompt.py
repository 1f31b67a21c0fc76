"""The split: no prompt in both parts, the requested size, independent of the order of the rows."""

from __future__ import annotations

import random
from hashlib import blake2b
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tiebreak.data import split_by_prompt
from tiebreak.data.synthetic import arithmetic_comparisons
from tiebreak.errors import DataError
from tiebreak.prompt_folding import fold_prompt_0_1
from tiebreak.types import Comparison


def comparisons(prompts: list[str]) -> list[Comparison]:
    return [Comparison((prompt, "more"), ("a", "b"), ("c", "d"), id=str(i)) for i, prompt in enumerate(prompts)]


def groups_of(sizes: list[int]) -> list[Comparison]:
    return comparisons([f"prompt {group}" for group, size in enumerate(sizes) for _ in range(size)])


SIZES = st.lists(st.integers(1, 6), min_size=2, max_size=9)


@settings(deadline=None)
@given(SIZES, st.integers(0, 2**40), st.randoms(use_true_random=False), st.data())
def test_no_leak_nothing_lost_order_kept_and_order_irrelevant(
    sizes: list[int], seed: int, shuffler: random.Random, data: st.DataObject
) -> None:
    rows = groups_of(sizes)
    asked = data.draw(st.integers(1, len(rows) - 1))
    training, validation = split_by_prompt(rows, validation_rows=asked, validation_share=None, seed=seed)
    assert {c.prompt for c in training}.isdisjoint(c.prompt for c in validation)
    assert sorted([*training, *validation], key=rows.index) == rows
    assert [rows.index(c) for c in training] == sorted(rows.index(c) for c in training)
    assert [rows.index(c) for c in validation] == sorted(rows.index(c) for c in validation)

    shuffled = rows.copy()
    shuffler.shuffle(shuffled)
    _, again = split_by_prompt(shuffled, validation_rows=asked, validation_share=None, seed=seed)
    assert set(again) == set(validation)


@settings(deadline=None)
@given(SIZES, st.data())
def test_the_size_is_the_closest_possible(sizes: list[int], data: st.DataObject) -> None:
    asked = data.draw(st.integers(1, sum(sizes) - 1))
    _, validation = split_by_prompt(groups_of(sizes), validation_rows=asked, validation_share=None, seed=3)
    possible = {sum(chosen) for count in range(1, len(sizes)) for chosen in combinations(sizes, count)}
    assert abs(len(validation) - asked) == min(abs(size - asked) for size in possible)


@pytest.mark.parametrize(
    ("seed", "digest"), [(0, "3833d907ccbbee75"), (1, "8427374e7f8a7006"), (7, "cb493212afd89eb9")]
)
def test_the_rows_of_a_seed_are_those_of_version_0_1(seed: int, digest: str) -> None:
    """The digests were computed with version 0.1 of the fold."""
    rows = arithmetic_comparisons(400, seed=0, split="training")
    _, validation = split_by_prompt(rows, validation_rows=40, validation_share=None, seed=seed)
    texts = "\n".join(f"{row.prompt[0]}|{row.answer_a[0]}" for row in validation)
    assert blake2b(texts.encode(), digest_size=8).hexdigest() == digest


def test_a_joined_group_is_placed_by_its_smallest_spelling_in_any_order_of_rows() -> None:
    rows = comparisons([*(f"prompt {number}" for number in range(40)), "Prompt, 7!", "\uff30rompt 7"])
    _, validation = split_by_prompt(rows, validation_rows=20, validation_share=None, seed=0)
    _, again = split_by_prompt(rows[::-1], validation_rows=20, validation_share=None, seed=0)
    assert set(validation) == set(again)
    assert len({"7", "40", "41"} & {row.id for row in validation}) in (0, 3)


def test_the_split_of_an_older_run_keeps_apart_what_its_fold_kept_apart() -> None:
    rows = comparisons(["Why?", "why", "WHY ?", "how", "who", "when", "where", "what"])
    sides = set()
    for seed in range(30):
        _, validation = split_by_prompt(rows, validation_rows=4, validation_share=None, seed=seed, fold=fold_prompt_0_1)
        sides.add(frozenset({"0", "1", "2"} & {row.id for row in validation}))
    assert len(sides) > 2


def test_prompts_are_compared_without_case_and_white_space() -> None:
    rows = comparisons(["Straße  1", "STRASSE 1 ", "\nstrasse\t1", "strasse 2", "strasse1"])
    for seed in range(20):
        training, validation = split_by_prompt(rows, validation_rows=3, validation_share=None, seed=seed)
        sides = [{c.id for c in training} & {"0", "1", "2"}, {c.id for c in validation} & {"0", "1", "2"}]
        assert set() in sides


def test_share_and_seed() -> None:
    rows = groups_of([1] * 300)
    _, a = split_by_prompt(rows, validation_rows=None, validation_share=0.1, seed=1)
    _, same = split_by_prompt(rows, validation_rows=30, validation_share=None, seed=1)
    _, other = split_by_prompt(rows, validation_rows=30, validation_share=None, seed=2)
    assert len(a) == 30
    assert a == same
    assert len(set(a) & set(other)) < 15
    # Pinned: the validation rows of older runs have to stay the same.
    assert [c.id for c in a[:6]] == ["2", "8", "14", "15", "39", "47"]


def test_validation_gets_its_share_of_large_groups() -> None:
    rows = groups_of([1] * 400 + [10] * 40 + [100] * 4)
    _, validation = split_by_prompt(rows, validation_rows=None, validation_share=0.25, seed=0)
    sizes = [sum(c.prompt == other.prompt for other in validation) for c in validation]
    assert (sizes.count(1), sizes.count(10), sizes.count(100)) == (100, 100, 100)


def test_rounding_at_one_size_is_compensated_at_the_next() -> None:
    rows = groups_of(list(range(1, 41)))  # one group of every size, so half of a size is not a whole group
    _, validation = split_by_prompt(rows, validation_rows=None, validation_share=0.5, seed=0)
    sizes = [sum(c.prompt == other.prompt for other in validation) for c in validation]
    assert len(sizes) == 410
    for smallest in (31, 21, 11):
        large = sum(range(smallest, 41))
        assert sum(size >= smallest for size in sizes) == pytest.approx(large / 2, abs=20)


def test_an_odd_size_out_of_pairs() -> None:
    rows = groups_of([2] * 2000 + [1] * 1000)
    training, validation = split_by_prompt(rows, validation_rows=101, validation_share=None, seed=0)
    assert (len(training), len(validation)) == (4899, 101)


@pytest.mark.parametrize(("rows", "share"), [(None, None), (1, 0.5)])
def test_exactly_one_size_is_given(rows: int | None, share: float | None) -> None:
    with pytest.raises(ValueError, match="exactly one of validation_rows and validation_share"):
        split_by_prompt(groups_of([1, 1]), validation_rows=rows, validation_share=share, seed=0)


@pytest.mark.parametrize(
    ("sizes", "rows", "share", "message"),
    [
        ([1, 1], 2, None, "validation_rows=2 of 2 comparisons: use 1 to 1"),
        ([1, 1], 0, None, "validation_rows=0 of 2"),
        ([1, 1], None, 1.0, "validation_share=1.0"),
        ([1, 1], None, 0.0, "validation_share=0.0"),
        ([1], 1, None, "only one comparison.*data.validation=FILE"),
        ([5], 2, None, "all 5 comparisons have the same first prompt.*data.validation=FILE"),
    ],
)
def test_impossible_splits(sizes: list[int], rows: int | None, share: float | None, message: str) -> None:
    with pytest.raises(DataError, match=message):
        split_by_prompt(groups_of(sizes), validation_rows=rows, validation_share=share, seed=0)
