"""OpenRLHF's remote reward model, `/get_reward`: queries and prompts as the policy's tokenizer decoded them.

What it says is what `tiebreak.rewards.openrlhf`, the file for OpenRLHF to load, says in its process.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, StrictStr

from tiebreak.data import parse_rendered_completion
from tiebreak.rewards.rendered_text import find_answer
from tiebreak.serving.compat.errors import refusals
from tiebreak.serving.compat.input_parsing import parse_answer_text, parse_reply
from tiebreak.serving.compat.outputs import logistic
from tiebreak.serving.compat.rewards import rewards_for
from tiebreak.serving.compat.schema import Request
from tiebreak.serving.errors import InvalidRequestError
from tiebreak.serving.schema import ErrorResponse
from tiebreak.types import Conversation

if TYPE_CHECKING:
    from tiebreak.serving.judge_service import JudgeService

_PROMPT = "<bos><start_of_turn>user\n1 + 1 = ?<end_of_turn>\n<start_of_turn>model\n"


class RewardRequest(Request):
    """Answers that a policy gave."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"query": [f"{_PROMPT}2<end_of_turn>"], "prompts": [_PROMPT], "labels": ["2"]}]}
    )

    query: Annotated[list[StrictStr], Field(min_length=1)] = Field(
        description="Prompt and answer, decoded with special tokens."
    )
    prompts: list[StrictStr] | None = Field(
        None,
        description="One a query, in which it is found. Without them (older clients) the queries are chats in a known "
        "format.",
    )
    labels: Any = Field(None, description="Not looked at.")


class RewardResponse(BaseModel):
    """A number for each query, in their order."""

    rewards: list[float] = Field(
        description="In standard deviations around the mean of the validation's answers; from a judge of pairs in "
        "nats, around the mean of the answers to the prompt. 0 for what could not be scored."
    )
    scores: list[float] = Field(description="The logistic of the rewards: between 0 and 1, as dynamic filtering needs.")
    extra_logs: dict[str, list[float]] = Field(
        description="`unscored`: 1 for an answer to what is no conversation of texts (a tool's messages, say)."
    )


def openrlhf_routes(judge: JudgeService) -> APIRouter:
    """The path that OpenRLHF calls."""
    routes = APIRouter(tags=["OpenRLHF"], responses=refusals(ErrorResponse))

    @routes.post("/get_reward", summary="The rewards of a policy's answers")
    async def get_reward(request: RewardRequest) -> RewardResponse:
        # Finding a prompt that a query does not repeat to the letter can take long: others are answered meanwhile.
        asked = await asyncio.to_thread(_conversations, judge, request)
        known = {i: one for i, one in enumerate(asked) if one is not None}
        found = dict(zip(known, await rewards_for(judge, list(known.values())), strict=True)) if known else {}
        rewards = [found[i].normalised if i in found else 0.0 for i in range(len(asked))]
        return RewardResponse(
            rewards=rewards,
            scores=[logistic(one) for one in rewards],
            extra_logs={"unscored": [float(i not in found) for i in range(len(asked))]},
        )

    return routes


def _conversations(judge: JudgeService, request: RewardRequest) -> list[Conversation | None]:
    """What was asked and answered; None where that is no conversation of texts."""
    if not request.prompts:
        return [parse_answer_text(judge, query) for query in request.query]
    if len(request.prompts) != len(request.query):
        raise InvalidRequestError(
            f"query has {len(request.query):,} texts and prompts {len(request.prompts):,}: give a prompt for each."
        )
    pairs = enumerate(zip(request.query, request.prompts, strict=True))
    return [_conversation(number, query, prompt) for number, (query, prompt) in pairs]


def _conversation(number: int, query: str, prompt: str) -> Conversation | None:
    answer = find_answer(query, prompt)
    if answer is None:
        raise InvalidRequestError(
            f"query[{number}] does not begin with prompts[{number}], nor with the end of it, so that the answer cannot "
            "be told from the prompt. Send the prompt that was tokenised."
        )
    try:
        return parse_reply("prompts", *parse_rendered_completion(prompt, answer))
    except InvalidRequestError:
        return None
