from __future__ import annotations

import pytest
from hypothesis import given

from tiebreak.errors import RecipeError
from tiebreak.text import REWARD_TEMPLATE, SEED_TEMPLATE, AnswerTemplate, Template
from tiebreak.types import Comparison, Conversation

from .cases import comparisons

PLAIN = Template("<{prompt}|{response_a}|{response_b}>")


def test_the_seed_text_is_exact() -> None:
    text = SEED_TEMPLATE.render(Comparison(("1 + 1 = ?",), ("2",), ("3",)))
    assert text == ("Prompt: 1 + 1 = ? \n\nResponse_a: 2\n\nResponse_b: 3\n\n--------\n\nWhich one is better ?")


def test_history_is_rendered_once_as_a_dialogue() -> None:
    comparison = Comparison(("p0", "p1", "p2"), ("same", "a1", "a2"), ("same", "b1", "b2"))
    assert PLAIN.render(comparison) == ("<User: p0\n\nAssistant: same\n\nUser: p1\n\nUser: p2|a1\n\na2|b1\n\nb2>")


def test_without_history_the_turns_are_bare() -> None:
    assert PLAIN.render(Comparison(("p0", "p1"), ("a0", "same"), ("b0", "same"))) == "<p0\n\np1|a0\n\nsame|b0\n\nsame>"


def test_the_last_turn_is_never_history() -> None:
    assert PLAIN.render(Comparison(("p",), ("same",), ("same",))) == "<p|same|same>"
    both = Comparison(("p0", "p1"), ("x", "same"), ("x", "same"))
    assert PLAIN.render(both) == "<User: p0\n\nAssistant: x\n\nUser: p1|same|same>"


def test_a_greeting_follows_an_empty_turn() -> None:
    greeted = Comparison(("", "p1"), ("hi", "a"), ("hi", "b"))
    assert PLAIN.render(greeted) == "<User: \n\nAssistant: hi\n\nUser: p1|a|b>"
    assert AnswerTemplate("<{prompt}|{response}>").render(greeted.conversations[0]) == (
        "<User: \n\nAssistant: hi\n\nUser: p1|a>"
    )
    assert PLAIN.render(greeted, turns_dropped=1) == "<[...]\n\nUser: p1|a|b>"
    assert PLAIN.render(Comparison(("", "p1"), ("hi", "a"), ("hey", "b"))) == "<\n\np1|hi\n\na|hey\n\nb>"


def test_dropped_turns_leave_one_mark_in_every_slot_that_lost_some() -> None:
    comparison = Comparison(("p0", "p1", "p2"), ("same", "a1", "a2"), ("same", "b1", "b2"))
    assert PLAIN.render(comparison, turns_dropped=1) == "<[...]\n\nUser: p1\n\nUser: p2|a1\n\na2|b1\n\nb2>"
    assert PLAIN.render(comparison, turns_dropped=2) == "<[...]\n\nUser: p2|[...]\n\na2|[...]\n\nb2>"
    bare = Comparison(("p0", "p1"), ("a0", "a1"), ("b0", "b1"))
    assert PLAIN.render(bare, turns_dropped=1) == "<[...]\n\np1|[...]\n\na1|[...]\n\nb1>"


@pytest.mark.parametrize("turns_dropped", [-1, 1])
def test_the_closing_turn_cannot_be_dropped(turns_dropped: int) -> None:
    with pytest.raises(ValueError, match=f"turns_dropped is {turns_dropped}"):
        PLAIN.render(Comparison(("p",), ("a",), ("b",)), turns_dropped=turns_dropped)


def test_braces_in_texts_are_plain_characters() -> None:
    said = Comparison(("{response_a}",), ("{prompt} {0} {",), ("%s }}",))
    assert Template("{x} {prompt}{response_a}{response_b} {{").render(said) == "{x} {response_a}{prompt} {0} {%s }} {{"


@given(comparisons())
def test_rendering_commutes_with_swapping(comparison: Comparison) -> None:
    swap_verdict = Template("<{prompt}|{response_b}|{response_a}>")
    for dropped in range(len(comparison.prompt)):
        swapped = PLAIN.render(comparison.swap(), turns_dropped=dropped)
        assert swapped == swap_verdict.render(comparison, turns_dropped=dropped)


def test_a_missing_slot_names_its_nearest_misspelling() -> None:
    with pytest.raises(RecipeError, match=r"\{response_b\} is missing; rename \{reponse_b\} to \{response_b\}"):
        Template("{prompt} {response_a} {reponse_b}")
    with pytest.raises(RecipeError, match=r"\{prompt\} is missing; write \{prompt\} where"):
        Template("{response_a} {response_b}")


def test_an_answer_stands_alone_after_its_dialogue() -> None:
    template = AnswerTemplate("<{prompt}|{response}>")
    assert template.render(Conversation(("p",), ("a",))) == "<p|a>"
    talk = Conversation(("p0", "p1", "p2"), ("a0", "a1", "a2"))
    assert template.render(talk) == "<User: p0\n\nAssistant: a0\n\nUser: p1\n\nAssistant: a1\n\nUser: p2|a2>"
    assert template.render(talk, turns_dropped=1) == "<[...]\n\nUser: p1\n\nAssistant: a1\n\nUser: p2|a2>"
    assert template.render(talk, turns_dropped=2) == "<[...]\n\nUser: p2|a2>"
    with pytest.raises(ValueError, match="must leave the last of 3"):
        template.render(talk, turns_dropped=3)
    assert REWARD_TEMPLATE.render(Conversation(("{response}",), ("{prompt}",))) == (
        "Prompt: {response} \n\nResponse: {prompt}\n\n--------\n\nIs the response good ?"
    )


def test_slots_of_the_other_head_are_recognised() -> None:
    with pytest.raises(RecipeError, match=r"\{response\} is missing.*these are the slots of model.head=pairwise"):
        AnswerTemplate("{prompt} {response_a} {response_b}")
    with pytest.raises(RecipeError, match=r"\{response_a\} is missing.*these are the slots of model.head=pointwise"):
        Template("{prompt} {response}")


def test_a_repeated_slot_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"\{prompt\} appears 2 times"):
        Template("{prompt} {prompt} {response_a} {response_b}")
