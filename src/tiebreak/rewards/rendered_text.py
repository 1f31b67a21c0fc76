"""Rewards of answers inside texts that a policy's tokenizer decoded."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import islice
from typing import Final

from tiebreak.data.chat_templates import RenderedTextParser
from tiebreak.data.issues import short_repr
from tiebreak.errors import DataError
from tiebreak.rewards.judge_reward import JudgeReward
from tiebreak.rewards.policy import policy_parser

MIN_CHARACTERS: Final = 16
"""Minimum number of characters, without white space, by which a truncated prompt is recognized."""


def rewards_of_rendered_text(
    reward: JudgeReward, prompts: Sequence[str], queries: Sequence[str], policy: RenderedTextParser | None = None
) -> list[float | None]:
    """The rewards of answers from rendered texts.

    Args:
        reward: the reward function of a judge.
        prompts: one per query, rendered by the policy's chat template.
        queries: prompt and answer, decoded by the policy's tokenizer.
        policy: parses what the policy's chat template renders; by default all templates that are known are tried.

    Returns:
        A reward per query; None for a prompt that the template did not render, or that is not a conversation of texts.

    Raises:
        DataError: a query does not start with its prompt or the end of it.
    """
    policy = policy or policy_parser()
    asked: dict[int, list[dict[str, str]]] = {}
    replies = []
    for number, (prompt, query) in enumerate(zip(prompts, queries, strict=True)):
        answer = find_answer(query, prompt)
        if answer is None:
            raise DataError(
                f"The query {short_repr(query)} does not start with its prompt {short_repr(prompt)}, nor with the end "
                "of it, so the answer cannot be separated from the prompt. Pass the prompt that was tokenized."
            )
        parsed = policy.parse_completion(prompt, answer)
        if parsed is None:
            continue
        messages, reply = parsed
        asked[number] = [{"role": role, "content": content} for role, content in messages]
        replies.append(reply)
    rewards = dict(zip(asked, reward(list(asked.values()), replies), strict=True))
    return [rewards.get(number) for number in range(len(prompts))]


def find_answer(query: str, prompt: str) -> str | None:
    """The text after the prompt in a query; None if the prompt is not found.

    The query may differ from the prompt: SentencePiece puts spaces around special tokens, and a long prompt is
    truncated at its start, perhaps within a character.
    """
    at = query.find(prompt)
    if at >= 0:
        return query[at + len(prompt) :]
    query = query.lstrip("\N{REPLACEMENT CHARACTER}")
    compact_prompt, compact_query = ("".join(text.split()) for text in (prompt, query))
    at = compact_query.find(compact_prompt)
    length = at + len(compact_prompt) if at >= 0 else _overlap(compact_prompt, compact_query)
    if not length:
        return None
    last = next(islice(re.finditer(r"\S", query), length - 1, None))
    return query[last.end() :].removeprefix(prompt[len(prompt.rstrip()) :])


def _overlap(prompt: str, query: str) -> int:
    """The length of the longest end of the prompt, at least `MIN_CHARACTERS`, that the query starts with; or 0.

    Uses the prefix function of D. E. Knuth, J. H. Morris and V. R. Pratt (1977), which takes linear time: servers get
    arbitrary texts.
    """
    start = prompt.find(query[:MIN_CHARACTERS])
    prompt = prompt[max(start, 0) :]
    query = query[: len(prompt)]
    if start < 0 or len(query) < MIN_CHARACTERS:
        return 0
    borders, matched = [0] * len(query), 0
    for i in range(1, len(query)):
        while matched and query[i] != query[matched]:
            matched = borders[matched - 1]
        matched += query[i] == query[matched]
        borders[i] = matched
    matched = 0
    for i, character in enumerate(prompt):
        while matched and character != query[matched]:
            matched = borders[matched - 1]
        matched += character == query[matched]
        if matched == len(query) and i < len(prompt) - 1:
            matched = borders[matched - 1]
    return matched if matched >= MIN_CHARACTERS else 0
