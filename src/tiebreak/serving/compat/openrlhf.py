"""OpenRLHF's remote reward model, `/get_reward`: queries and prompts decoded by the policy's tokenizer.

Rewards are those of `tiebreak.rewards.openrlhf`, the file for OpenRLHF's own process.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, StrictStr

from tiebreak.rewards.rendered_text import find_answer
from tiebreak.serving.compat.inputs import CompatRequest, parse_answer_text, parse_reply, unknown_template_error
from tiebreak.serving.compat.outputs import compute_rewards, logistic
from tiebreak.serving.errors import ErrorResponse, InvalidRequestError, error_responses
from tiebreak.types import Conversation

if TYPE_CHECKING:
    from tiebreak.serving.judge_service import JudgeService

_PROMPT = "<bos><start_of_turn>user\n1 + 1 = ?<end_of_turn>\n<start_of_turn>model\n"


class RewardRequest(CompatRequest):
    """A policy's answers."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"query": [f"{_PROMPT}2<end_of_turn>"], "prompts": [_PROMPT], "labels": ["2"]}]}
    )

    query: Annotated[list[StrictStr], Field(min_length=1)] = Field(
        description="Prompt and answer, decoded with special tokens."
    )
    prompts: list[StrictStr] | None = Field(
        None,
        description="The prompt in each query. Without prompts (older clients) the queries are chats in a known "
        "template.",
    )
    labels: Any = Field(None, description="Ignored.")


class RewardResponse(BaseModel):
    """Rewards in the order of the queries."""

    rewards: list[float] = Field(
        description="In standard deviations around the mean of the validation's answers; from a pairwise judge in "
        "nats, around the mean of the answers to the prompt. 0 for answers that cannot be scored."
    )
    scores: list[float] = Field(
        description="The logistic function of the rewards: between 0 and 1, as dynamic filtering needs."
    )
    extra_logs: dict[str, list[float]] = Field(
        description="`unscored`: 1 if the conversation has other messages than text of user and assistant (tools), or "
        "is in no template that is known while others of the request are."
    )


def openrlhf_routes(judge: JudgeService) -> APIRouter:
    """The path that OpenRLHF calls."""
    routes = APIRouter(tags=["OpenRLHF"], responses=error_responses(ErrorResponse))

    @routes.post("/get_reward", summary="Rewards of a policy's answers")
    async def get_reward(request: RewardRequest) -> RewardResponse:
        # Finding a prompt that a query does not repeat exactly can take long, so it does not block the event loop.
        conversations = await asyncio.to_thread(_conversations, judge, request)
        scorable = {i: item for i, item in enumerate(conversations) if item is not None}
        rewards = [0.0] * len(conversations)
        if scorable:
            for i, reward in zip(scorable, await compute_rewards(judge, list(scorable.values())), strict=True):
                rewards[i] = reward.normalised
        return RewardResponse(
            rewards=rewards,
            scores=[logistic(reward) for reward in rewards],
            extra_logs={"unscored": [float(i not in scorable) for i in range(len(conversations))]},
        )

    return routes


def _conversations(judge: JudgeService, request: RewardRequest) -> list[Conversation | None]:
    """Prompts and answers; None for a conversation that is not user and assistant in turn."""
    if not request.prompts:
        return [parse_answer_text(judge, query) for query in request.query]
    if len(request.prompts) != len(request.query):
        raise InvalidRequestError(
            f"query has {len(request.query):,} texts and prompts has {len(request.prompts):,}. Give a prompt for each "
            "query."
        )
    pairs = enumerate(zip(request.query, request.prompts, strict=True))
    conversations = [_conversation(judge, number, query, prompt) for number, (query, prompt) in pairs]
    if not any(conversations) and not any(map(judge.policy.has_markers, request.prompts)):
        raise unknown_template_error("prompts")
    return conversations


def _conversation(judge: JudgeService, number: int, query: str, prompt: str) -> Conversation | None:
    answer = find_answer(query, prompt)
    if answer is None:
        raise InvalidRequestError(
            f"query[{number}] does not begin with prompts[{number}] or with the end of it, so its answer cannot be "
            "found. Send the prompt that was tokenised."
        )
    parsed = judge.policy.parse_completion(prompt, answer)
    try:
        return None if parsed is None else parse_reply("prompts", *parsed)
    except InvalidRequestError:
        return None
