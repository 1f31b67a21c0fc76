from __future__ import annotations

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from tiebreak.errors import RecipeError
from tiebreak.text import SEED_TEMPLATE
from tiebreak.text.truncation import TruncatedRow, Truncator, token_ids
from tiebreak.types import Comparison

from .cases import comparisons, said

MARK = " [...] "
AROUND = 13
"""Tokens of the seed's template for `words`, including the BOS; the mark takes one."""


def cut(tokenizer: PreTrainedTokenizerFast, comparison: Comparison, max_length: int) -> TruncatedRow:
    truncator = Truncator(tokenizer, SEED_TEMPLATE, max_length=max_length, added_tokens=1)
    [one] = truncator([comparison], token_ids(tokenizer, [SEED_TEMPLATE.render(comparison)]))
    return one


def one_turn(prompt: int, a: int, b: int) -> Comparison:
    return Comparison((said("p", prompt),), (said("a", a),), (said("b", b),))


def kept(text: str) -> tuple[int, int]:
    """Words before and after the mark; all of them before it if nothing was cut."""
    head, _, tail = text.partition(MARK)
    return len(head.split()), len(tail.split())


def test_what_fits_stays_and_one_token_less_does_not(words: PreTrainedTokenizerFast) -> None:
    comparison = one_turn(10, 30, 20)
    assert cut(words, comparison, AROUND + 60).row is comparison
    shorter = cut(words, comparison, AROUND + 59)
    assert shorter.row.prompt == comparison.prompt
    assert shorter.row.answer_b == comparison.answer_b
    # 29 tokens for A: the mark and 28 words, half from its head and half from its tail.
    assert shorter.row.answer_a == (f"{said('a', 14)}{MARK}{' '.join(f'a{i}' for i in range(16, 30))}",)
    assert shorter.ids.size + 1 == AROUND + 59


@pytest.mark.parametrize(
    ("lengths", "room", "expected"),
    [
        ((10, 90, 20), 70, ((10, 0), (20, 19), (20, 0))),  # only the longer answer is cut: 40 = 20 + mark + 19
        ((10, 90, 60), 70, ((10, 0), (15, 14), (15, 14))),  # both are cut to a common cap of 30
        ((10, 90, 60), 71, ((10, 0), (15, 14), (15, 14))),  # the odd token prefers no side
        ((35, 90, 60), 70, ((35, 0), (8, 8), (8, 8))),  # a prompt of exactly half the room is not cut
        ((99, 90, 60), 70, ((17, 17), (8, 8), (8, 8))),  # a longer one is cut to half: 17 + mark + 17
        ((99, 5, 4), 70, ((30, 30), (5, 0), (4, 0))),  # but gets what short answers leave over: 61 = 30 + mark + 30
        ((40, 5, 25), 70, ((40, 0), (5, 0), (25, 0))),
    ],
)
def test_which_texts_are_cut_and_by_how_much(
    words: PreTrainedTokenizerFast,
    lengths: tuple[int, int, int],
    room: int,
    expected: tuple[tuple[int, int], tuple[int, int], tuple[int, int]],
) -> None:
    result = cut(words, one_turn(*lengths), AROUND + room).row
    assert tuple(kept(texts[0]) for texts in (result.prompt, result.answer_a, result.answer_b)) == expected


def test_oldest_turns_go_first_and_only_as_many_as_needed(words: PreTrainedTokenizerFast) -> None:
    turns = [said("p", 5)] * 3, [said("a", 10)] * 3, [said("b", 10)] * 3
    comparison = Comparison(*(tuple(texts) for texts in turns))
    for max_length, dropped in [
        (AROUND + 75, 0),
        (AROUND + 74, 1),
        (AROUND + 53, 1),
        (AROUND + 52, 2),
        (AROUND + 28, 2),
    ]:
        result = cut(words, comparison, max_length)
        # Two turns left: 50 tokens and three marks; one turn left: 25 and three marks.
        assert (result.turns_dropped, result.row) == (dropped, comparison)
    result = cut(words, comparison, AROUND + 27)
    assert result.turns_dropped == 2
    assert [kept(texts[-1]) for texts in (result.row.prompt, result.row.answer_a)] == [(5, 0), (4, 4)]


def test_history_is_dropped_before_turns_that_differ(words: PreTrainedTokenizerFast) -> None:
    shared = said("a", 30)
    comparison = Comparison((said("p", 30), "p1", "p2"), (shared, "a1", "a2"), (shared, "b1", "b2"))
    result = cut(words, comparison, AROUND + 24)
    assert result.turns_dropped == 1
    text = SEED_TEMPLATE.render(result.row, turns_dropped=1)
    assert text.startswith("Prompt: [...]\n\nUser: p1\n\nUser: p2 \n\nResponse_a: a1\n\na2\n\nResponse_b: b1")


def test_characters_of_several_tokens_are_never_split(gemma_like: PreTrainedTokenizerFast) -> None:
    comparison = Comparison(("which",), ("\U0001f600" * 60,), ("é" * 60,))
    for max_length in range(120, 140):
        result = cut(gemma_like, comparison, max_length).row
        assert re.fullmatch("\U0001f600+ \\[\\.\\.\\.\\] \U0001f600+", result.answer_a[0])
        assert re.fullmatch(r"é+ \[\.\.\.\] é+", result.answer_b[0])


@settings(max_examples=150, deadline=None)
@given(comparisons(), st.integers(0, 150), st.sampled_from(["gemma_like", "qwen_like", "words"]))
@example(Comparison(("the" * 6,), ("the" * 3,), (" [...]\U0001f600the",)), 0, "gemma_like")
def test_cutting_keeps_the_budget_and_commutes_with_swapping(
    request: pytest.FixtureRequest, comparison: Comparison, spare: int, name: str
) -> None:
    tokenizer: PreTrainedTokenizerFast = request.getfixturevalue(name)
    comparison = without_surrogates(comparison)
    marks = 40 if len(comparison.prompt) > 1 else 0
    max_length = least_max_length(tokenizer) + marks + spare
    result, mirrored = cut(tokenizer, comparison, max_length), cut(tokenizer, comparison.swap(), max_length)
    assert (mirrored.turns_dropped, mirrored.row) == (result.turns_dropped, result.row.swap())
    text = SEED_TEMPLATE.render(result.row, turns_dropped=result.turns_dropped)
    assert result.ids.tolist() == tokenizer(text, add_special_tokens=False)["input_ids"]
    assert result.ids.size + 1 <= max_length
    for given_text, left in zip(closing(comparison), closing(result.row), strict=True):
        # The texts contain marks too, so any mark may be the one of the cut, also one that overlaps another.
        starts = [match.start() for match in re.finditer(f"(?={re.escape(MARK)})", left)]
        cuts = [(left[:start], left[start + len(MARK) :]) for start in starts]
        assert left == given_text or any(given_text.startswith(h) and given_text.endswith(t) for h, t in cuts)


def least_max_length(tokenizer: PreTrainedTokenizerFast) -> int:
    with pytest.raises(RecipeError, match="max_length is 1 tokens") as refusal:
        Truncator(tokenizer, SEED_TEMPLATE, max_length=1, added_tokens=1)
    return int(re.findall(r"set max_length to (\d+)", str(refusal.value))[0])


def test_a_too_small_max_length_is_refused_with_the_minimum(words: PreTrainedTokenizerFast) -> None:
    # The advised length has room for a mark of dropped turns in every slot; shorter ones may do for single turns.
    assert least_max_length(words) == AROUND + 3 * 8 + 3
    with pytest.raises(
        RecipeError, match=f"max_length is {AROUND + 23} tokens, but the template alone takes {AROUND},"
    ):
        Truncator(words, SEED_TEMPLATE, max_length=AROUND + 23, added_tokens=1)
    assert kept(cut(words, one_turn(99, 99, 99), AROUND + 24).row.prompt[0]) == (6, 5)


def test_the_advised_length_holds_the_marks_of_dropped_turns() -> None:
    # One token per character: "[...]" and "User:" alone take the 27 tokens that single turns need at least.
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    letters = Tokenizer(models.BPE({letter: index for index, letter in enumerate(sorted(alphabet))}, []))
    letters.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=letters)
    comparison = Comparison(("p", "p", "p" * 99), ("same", "a", "a" * 99), ("same", "b", "b" * 99), id="row 7")
    advised = least_max_length(tokenizer)
    with pytest.raises(RecipeError, match=rf"closing turn of comparison 'row 7': set max_length to {advised} or more"):
        cut(tokenizer, comparison, advised - 20)
    assert cut(tokenizer, comparison, advised).turns_dropped == 2


def closing(comparison: Comparison) -> tuple[str, str, str]:
    return comparison.prompt[-1], comparison.answer_a[-1], comparison.answer_b[-1]


def without_surrogates(comparison: Comparison) -> Comparison:
    sides = comparison.prompt, comparison.answer_a, comparison.answer_b
    return Comparison(*(tuple(text.replace("\ud83d", "?") for text in texts) for texts in sides))
