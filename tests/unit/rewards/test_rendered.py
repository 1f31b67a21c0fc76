"""Answers found in what a policy's tokenizer decoded."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tiebreak import Conversation, DataError
from tiebreak.data.chat_templates import PLAIN
from tiebreak.rewards import JudgeReward
from tiebreak.rewards.rendered_text import MIN_CHARACTERS, _overlap, find_answer, rewards_of_rendered_text

GEMMA = (
    "<bos><start_of_turn>user\nWhat is a café?<end_of_turn>\n<start_of_turn>model\nA place.<end_of_turn>\n"
    "<start_of_turn>user\nWhere is one?<end_of_turn>\n<start_of_turn>model\n"
)
MISTRAL = "<s>[INST]What is a café?[/INST]A place.</s>[INST]Where is one?[/INST]"
MISTRAL_DECODED = "<s> [INST] What is a café? [/INST] A place. </s> [INST] Where is one? [/INST]"
ANSWER = "\n\nOn the corner.\n"


@given(st.text(), st.text())
@example("", "a")
def test_after_the_prompt_itself_comes_the_answer(prompt: str, answer: str) -> None:
    assert find_answer(prompt + answer, prompt) == answer


@given(st.text("ab", max_size=60), st.integers(0, 60), st.text("ab", max_size=60))
def test_the_longest_end_that_a_query_begins_with(asked: str, start: int, more: str) -> None:
    said = asked[start:] + more
    ends = (n for n in range(min(len(asked), len(said)), MIN_CHARACTERS - 1, -1) if asked.endswith(said[:n]))
    assert _overlap(asked, said) == next(ends, 0)


def test_white_space_and_what_stands_in_front_are_no_matter() -> None:
    assert find_answer(MISTRAL_DECODED + " By the sea.</s>", MISTRAL) == " By the sea.</s>"
    assert find_answer(MISTRAL + "By the sea.</s>", MISTRAL_DECODED) == "By the sea.</s>"
    assert find_answer("<bos>1 + 1 = ? 2", "1 + 1 = ?") == " 2"
    assert find_answer("<s> 1 + 1 =? 2", "1 + 1 = ?") == " 2"
    assert find_answer(GEMMA.replace("<bos>", "<bos> ") + ANSWER, GEMMA) == ANSWER


@pytest.mark.parametrize("prompt", [GEMMA, MISTRAL])
def test_an_over_long_prompt_is_cut_at_its_beginning(prompt: str) -> None:
    shortest = next(n for n in range(len(prompt)) if len("".join(prompt[-n:].split())) >= MIN_CHARACTERS and n)
    for cut in range(1, len(prompt) - shortest + 1):
        assert find_answer(prompt[cut:] + ANSWER, prompt) == ANSWER
    within_a_character = prompt.encode()[prompt.encode().index("é".encode()) + 1 :].decode(errors="replace")
    assert within_a_character.startswith("\N{REPLACEMENT CHARACTER}")
    assert find_answer(within_a_character + ANSWER, prompt) == ANSWER
    assert find_answer(MISTRAL_DECODED[9:] + " By the sea.</s>", MISTRAL) == " By the sea.</s>"


def test_an_answer_may_repeat_the_prompts_tags() -> None:
    answer = f"Here.<end_of_turn>\n{GEMMA[5:]}Here.<end_of_turn>"
    assert find_answer(GEMMA + answer, GEMMA) == answer
    assert find_answer(GEMMA[20:] + answer, GEMMA) == answer


def test_another_prompt_is_none_of_it() -> None:
    assert find_answer("2 + 2 = ? 4", "1 + 1 = ?") is None
    assert find_answer("", "1 + 1 = ?") is None
    assert find_answer(GEMMA[: len(GEMMA) // 2], GEMMA) is None


def test_templates_are_taken_off_before_a_judge_reads() -> None:
    read: list[Conversation] = []

    def watch(conversations: Sequence[Conversation]) -> list[float | None]:
        read.extend(conversations)
        return [float(len(c.answer[-1])) for c in conversations]

    prompts = ["1 + 1 = ?", GEMMA, MISTRAL, GEMMA.replace("<start_of_turn>user", "<start_of_turn>tool", 1)]
    queries = [
        "1 + 1 = ?2<eos>", f"{GEMMA}Here.<end_of_turn>", f"{MISTRAL_DECODED} There.</s>", f"{prompts[3]}x<end_of_turn>"
    ]  # fmt: skip
    assert rewards_of_rendered_text(JudgeReward(watch, scores_alone=True), prompts, queries) == [None, 5, 6, None]
    asked, told = ("What is a café?", "Where is one?"), "A place."
    assert read == [Conversation(asked, (told, "Here.")), Conversation(asked, (told, "There."))]
    read.clear()
    assert rewards_of_rendered_text(JudgeReward(watch, scores_alone=True), prompts[:1], queries[:1], PLAIN) == [1]
    assert read == [Conversation(("1 + 1 = ?",), ("2",))]


def test_a_query_without_its_prompt_is_refused() -> None:
    reward = JudgeReward(lambda conversations: [0.0] * len(conversations), scores_alone=True)
    with pytest.raises(DataError, match=r"query '2 \+ 2 = \? 4' does not start with its prompt '1 \+ 1 = \?'"):
        rewards_of_rendered_text(reward, ["1 + 1 = ?"], ["2 + 2 = ? 4"])
