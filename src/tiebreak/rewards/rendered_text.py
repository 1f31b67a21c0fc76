"""Texts as a policy's tokenizer decoded them -> the answers in them -> rewards."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import islice
from typing import Final

from tiebreak.data import parse_rendered_completion
from tiebreak.data.issues import short_repr
from tiebreak.errors import DataError
from tiebreak.rewards.judge_reward import JudgeReward

LEAST: Final = 16
"""So many characters of a prompt that was cut, white space aside, are enough to know it by."""


def rewards_of_rendered_text(reward: JudgeReward, prompts: Sequence[str], queries: Sequence[str]) -> list[float | None]:
    """The rewards of answers of which only the rendered texts are known.

    Args:
        reward: of a judge.
        prompts: one a query, as the policy's chat template rendered them.
        queries: prompt and answer, as the policy's tokenizer decoded them.

    Raises:
        DataError: a query does not hold its prompt, nor the end of it.
    """
    asked, replies = [], []
    for prompt, query in zip(prompts, queries, strict=True):
        answer = find_answer(query, prompt)
        if answer is None:
            raise DataError(
                f"The query {short_repr(query)} does not begin with its prompt {short_repr(prompt)}, nor with the end "
                "of it, so that the answer cannot be told from the prompt. Hand on the prompt that was tokenised."
            )
        messages, reply = parse_rendered_completion(prompt, answer)
        asked.append([{"role": role, "content": content} for role, content in messages])
        replies.append(reply)
    return reward(asked, replies)


def find_answer(query: str, prompt: str) -> str | None:
    """What follows the prompt in a query; None where the prompt is not found.

    The query need not repeat the prompt to the letter. SentencePiece puts spaces around special tokens, and an
    over-long prompt is cut at its beginning, perhaps within a character.
    """
    at = query.find(prompt)
    if at >= 0:
        return query[at + len(prompt) :]
    query = query.lstrip("\N{REPLACEMENT CHARACTER}")
    asked, said = ("".join(text.split()) for text in (prompt, query))
    at = said.find(asked)
    length = at + len(asked) if at >= 0 else _overlap(asked, said)
    if not length:
        return None
    last = next(islice(re.finditer(r"\S", query), length - 1, None))
    return query[last.end() :].removeprefix(prompt[len(prompt.rstrip()) :])


def _overlap(asked: str, said: str) -> int:
    """The length of the longest end of `asked`, of at least `LEAST` characters, that `said` begins with; or 0.

    By the prefix function of D. E. Knuth, J. H. Morris and V. R. Pratt (1977), in time that grows with the lengths and
    not with their product: servers are handed what people make up.
    """
    start = asked.find(said[:LEAST])
    asked = asked[max(start, 0) :]
    said = said[: len(asked)]
    if start < 0 or len(said) < LEAST:
        return 0
    borders, matched = [0] * len(said), 0
    for i in range(1, len(said)):
        while matched and said[i] != said[matched]:
            matched = borders[matched - 1]
        matched += said[i] == said[matched]
        borders[i] = matched
    matched = 0
    for i, character in enumerate(asked):
        while matched and character != said[matched]:
            matched = borders[matched - 1]
        matched += character == said[matched]
        if matched == len(said) and i < len(asked) - 1:
            matched = borders[matched - 1]
    return matched if matched >= LEAST else 0
