"""Texts and messages of compatibility APIs -> prompts and answers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.serving.judges import FakeJudge
from tiebreak.judges import InputLimits
from tiebreak.serving import Limits
from tiebreak.serving.compat.inputs import parse_answer_text, parse_messages, parse_text
from tiebreak.serving.errors import InvalidRequestError
from tiebreak.serving.judge_service import JudgeService
from tiebreak.text import AnswerTemplate, Template
from tiebreak.types import Comparison, Conversation

CHAT = "<start_of_turn>user\nq<end_of_turn>\n<start_of_turn>model\na<end_of_turn>\n"


@contextmanager
def serving(template: str | None = None, *, rewards: bool) -> Iterator[JudgeService]:
    judge = FakeJudge(rewards=rewards)
    if template is not None:
        judge._reads = InputLimits(1000, 100, template, "<bos>")
    served = JudgeService(judge, "fake", Limits())
    try:
        yield served
    finally:
        served.drain(0)


@pytest.fixture(scope="module")
def pointwise() -> Iterator[JudgeService]:
    with serving(rewards=True) as judge:
        yield judge


@pytest.fixture(scope="module")
def pairwise() -> Iterator[JudgeService]:
    with serving(rewards=False) as judge:
        yield judge


@pytest.mark.parametrize("bos", ["", "<bos>", "<bos><bos><bos>"])
def test_the_judges_own_template(pointwise: JudgeService, pairwise: JudgeService, bos: str) -> None:
    assert parse_text(pointwise, f"{bos}Q p A r end") == Conversation(("p",), ("r",))
    assert parse_text(pairwise, f"{bos}Q p A a B b end") == Comparison(("p",), ("a",), ("b",))
    assert parse_text(pointwise, f"{bos}{CHAT}") == Conversation(("q",), ("a",))


TEMPLATES = (
    "Q {prompt} A {response} end",
    "{prompt}\n###\n{response}",
    "[{response}] to [{prompt}]",
    "{prompt}>{response}",
)
PAIR_TEMPLATES = ("Q {prompt} A {response_a} B {response_b} end", "{response_b}|{prompt}|{response_a}")
TEXTS = st.text(st.sampled_from("QABend []#>|\n<"), max_size=8)


@pytest.mark.parametrize("template", TEMPLATES)
@given(prompt=TEXTS, answer=TEXTS)
def test_a_parsed_text_renders_to_itself(template: str, prompt: str, answer: str) -> None:
    text = AnswerTemplate(template).render(Conversation((prompt,), (answer,)))
    with serving(template, rewards=True) as judge:
        found = parse_text(judge, text)
    assert isinstance(found, Conversation)
    assert AnswerTemplate(template).render(found) == text


@pytest.mark.parametrize("template", PAIR_TEMPLATES)
@given(prompt=TEXTS, a=TEXTS, b=TEXTS)
def test_a_parsed_text_with_two_answers_renders_to_itself(template: str, prompt: str, a: str, b: str) -> None:
    text = Template(template).render(Comparison((prompt,), (a,), (b,)))
    with serving(template, rewards=False) as judge:
        found = parse_text(judge, text)
    assert isinstance(found, Comparison)
    assert Template(template).render(found) == text


@pytest.mark.parametrize(
    "text",
    [
        "", "<bos>", "p", "Q p A r", "p A r end", "Q p end", "Q A end", " Q p A r end", "Q p A r end<eos>", "Q p A end",
        "<start_of_turn>user\nq<end_of_turn>\n", "<|system|>\ns<|x|>\n<|user|>\nq<|x|>\n<|assistant|>\na<|x|>\n",
    ],
)  # fmt: skip
def test_unknown_templates_are_refused(pointwise: JudgeService, pairwise: JudgeService, text: str) -> None:
    for judge in (pointwise, pairwise):
        with pytest.raises(InvalidRequestError, match="template of a text is unknown"):
            parse_text(judge, text)


def test_a_template_without_markers_matches_nothing() -> None:
    with serving("{prompt}\n\n{response}", rewards=True) as judge:
        with pytest.raises(InvalidRequestError, match="template of a text is unknown"):
            parse_text(judge, "p\n\nr")
        assert parse_text(judge, CHAT) == Conversation(("q",), ("a",))


def test_a_pairwise_judge_needs_two_answers(pairwise: JudgeService) -> None:
    with pytest.raises(InvalidRequestError, match=r"is a pairwise judge.*response_a and response_b.*pointwise"):
        parse_text(pairwise, CHAT)
    assert parse_answer_text(pairwise, CHAT) == Conversation(("q",), ("a",))
    with pytest.raises(InvalidRequestError, match="has two answers"):
        parse_answer_text(pairwise, "Q p A a B b end")


def test_a_chat_of_several_turns_and_one_with_a_tool(pointwise: JudgeService) -> None:
    tag = "<|im_start|>{}\n{}<|im_end|>\n"
    turns = [("system", "s"), ("user", "p"), ("assistant", "one"), ("user", "q"), ("assistant", "two")]
    assert parse_text(pointwise, "".join(tag.format(*turn) for turn in turns)) == Conversation(
        ("s\n\np", "q"), ("one", "two"), "s"
    )
    turns[3] = ("tool", "42")
    with pytest.raises(InvalidRequestError, match=r"text: the template of a text is unknown.*--policy"):
        parse_text(pointwise, "".join(tag.format(*turn) for turn in turns))


def test_messages(pointwise: JudgeService, pairwise: JudgeService) -> None:
    asked = [("system", "s"), ("user", "p")]
    assert parse_messages(pointwise, [*asked, ("assistant", "r")]) == Conversation(("s\n\np",), ("r",), "s")
    both = [*asked, ("response_a", "a"), ("response_b", "b")]
    assert parse_messages(pairwise, both) == Comparison(("s\n\np",), ("a",), ("b",), system="s")
    for judge, messages, reason in (
        (pointwise, both, "scores one answer at a time"),
        (pointwise, asked, "messages: the roles are"),
        (pointwise, [("assistant", "r")], "messages: is a reply alone"),
        (pointwise, [("user", "p"), ("response_a", "a")], "messages: the roles are"),
        (pairwise, [*asked, ("assistant", "r")], "response_a and response_b"),
        (pairwise, both[2:], "messages: is a reply alone"),
        (pairwise, [*asked, ("response_b", "b"), ("response_a", "a")], "response_a and response_b"),
    ):
        with pytest.raises(InvalidRequestError, match=reason):
            parse_messages(judge, messages)
