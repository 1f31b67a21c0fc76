"""LLaMA-Factory's `/v1/score/evaluation`, which its PPO calls with `reward_model_type: api`. Rewards are in nats."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Literal
from uuid import uuid4

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr

from tiebreak.serving.compat.inputs import EXAMPLE_CHAT, CompatRequest, parse_answer_text
from tiebreak.serving.compat.outputs import compute_rewards
from tiebreak.serving.errors import ErrorResponse, InvalidRequestError, error_responses

if TYPE_CHECKING:
    from tiebreak.serving.judge_service import JudgeService


class EvaluationRequest(CompatRequest):
    """Chats decoded by a policy's tokenizer, special tokens included."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"model": "model", "messages": [EXAMPLE_CHAT]}]})

    model: StrictStr = Field("", description='Ignored: LLaMA-Factory sends "model" for every model.')
    messages: Annotated[list[StrictStr], Field(min_length=1)]
    max_length: Annotated[StrictInt, Field(ge=1)] | None = Field(
        None, description="Texts of more tokens are refused. The judge truncates texts only at its own limit."
    )


class EvaluationResponse(BaseModel):
    """A score for each chat, in their order."""

    id: str
    object: Literal["score.evaluation"] = "score.evaluation"
    model: str
    scores: list[float]


def llamafactory_routes(judge: JudgeService) -> APIRouter:
    """The path that LLaMA-Factory calls."""
    routes = APIRouter(tags=["LLaMA-Factory"], responses=error_responses(ErrorResponse))

    @routes.post("/v1/score/evaluation", summary="Rewards of a policy's answers")
    async def evaluate(request: EvaluationRequest) -> EvaluationResponse:
        chats = await asyncio.to_thread(lambda: [parse_answer_text(judge, text) for text in request.messages])
        rewards = await compute_rewards(judge, chats)
        longest = max(reward.tokens_read for reward in rewards)
        if request.max_length is not None and longest > request.max_length:
            raise InvalidRequestError(
                f"A text has {longest:,} tokens, but max_length is {request.max_length:,}. Send a shorter text, or "
                "raise max_length."
            )
        return EvaluationResponse(
            id=f"scoreval-{uuid4().hex}",
            model=request.model or judge.name,
            scores=[reward.reward for reward in rewards],
        )

    return routes
