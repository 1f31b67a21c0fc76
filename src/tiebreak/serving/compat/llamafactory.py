"""LLaMA-Factory's `/v1/score/evaluation`, which its PPO calls with `reward_model_type: api`: rewards in nats."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal
from uuid import uuid4

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr

from tiebreak.serving.compat.errors import refusals
from tiebreak.serving.compat.input_parsing import parse_answer_text
from tiebreak.serving.compat.rewards import rewards_for
from tiebreak.serving.compat.schema import CHAT, Request
from tiebreak.serving.errors import InvalidRequestError
from tiebreak.serving.schema import ErrorResponse

if TYPE_CHECKING:
    from tiebreak.serving.judge_service import JudgeService


class EvaluationRequest(Request):
    """Chats that a policy's tokenizer decoded, special tokens included."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"model": "model", "messages": [CHAT]}]})

    model: StrictStr = Field("", description='Not looked at: its own client says "model" to whatever it calls.')
    messages: Annotated[list[StrictStr], Field(min_length=1)]
    max_length: Annotated[StrictInt, Field(ge=1)] | None = Field(
        None, description="A text of more tokens is refused: the judge cuts what is longer than it reads, and no more."
    )


class EvaluationResponse(BaseModel):
    """A score for each chat, in their order."""

    id: str
    object: Literal["score.evaluation"] = "score.evaluation"
    model: str
    scores: list[float]


def llamafactory_routes(judge: JudgeService) -> APIRouter:
    """The path that LLaMA-Factory calls."""
    routes = APIRouter(tags=["LLaMA-Factory"], responses=refusals(ErrorResponse))

    @routes.post("/v1/score/evaluation", summary="The rewards of a policy's answers")
    async def evaluate(request: EvaluationRequest) -> EvaluationResponse:
        found = await rewards_for(judge, [parse_answer_text(judge, text) for text in request.messages])
        longest = max(one.tokens_read for one in found)
        if request.max_length is not None and longest > request.max_length:
            raise InvalidRequestError(f"A text has {longest:,} tokens, and max_length is {request.max_length:,}.")
        return EvaluationResponse(
            id=f"scoreval-{uuid4().hex}",
            model=request.model or judge.name,
            scores=[one.reward for one in found],
        )

    return routes
