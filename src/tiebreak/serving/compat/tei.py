"""text-embeddings-inference's `/predict`, for texts or for pairs of a prompt and an answer, and its `/rerank`.

Scores are probabilities, or the logistic function of a reward; with `raw_scores` they are logits, or the reward in
nats. The route of `/rerank`, which vLLM has too, is in `routing`.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictStr

from tiebreak.serving.compat.inputs import EXAMPLE_CHAT, CompatRequest, one_error, parse_text
from tiebreak.serving.compat.outputs import (
    TextOutput,
    compute_outputs,
    compute_rewards_for_prompt,
    logistic,
    output_labels,
)
from tiebreak.serving.errors import ServingError, error_responses
from tiebreak.types import Comparison, Conversation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tiebreak.serving.judge_service import JudgeService

TAG = "text-embeddings-inference"

OneOrPair = Annotated[list[StrictStr], Field(min_length=1, max_length=2)]
Inputs = Annotated[
    StrictStr | OneOrPair | Annotated[list[OneOrPair], Field(min_length=1)],
    one_error("give a text, a pair [prompt, answer], or a batch: a list of lists of one text or two"),
    Field(
        description="A rendered text, or a pair of a prompt and an answer; or a batch, a list of lists of one text or "
        "two."
    ),
]


class TeiRequest(CompatRequest):
    """Fields of every request."""

    truncate: StrictBool | None = Field(
        None, description="Truncate texts over the judge's limit as in training; false refuses them."
    )
    raw_scores: StrictBool = False


class PredictRequest(TeiRequest):
    """Texts, or prompts with answers."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"inputs": EXAMPLE_CHAT}, {"inputs": [["1 + 1 = ?", "2"]], "raw_scores": True}]}
    )

    inputs: Inputs


class TeiRerankRequest(TeiRequest):
    """A prompt, and answers to rank."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"query": "1 + 1 = ?", "texts": ["3", "2"]}]})

    query: StrictStr
    texts: Annotated[list[StrictStr], Field(min_length=1)]
    return_text: StrictBool = False


class Prediction(BaseModel):
    """One of the head's outputs."""

    score: float
    label: str


class TeiRank(BaseModel):
    """One answer and its score."""

    index: int
    text: str | None = None
    score: float


class TeiError(BaseModel):
    """An error in the format of text-embeddings-inference."""

    error: str
    error_type: Literal["unhealthy", "backend", "overloaded", "validation"]


def tei_error_body(error: ServingError) -> dict[str, Any]:
    """An error as a `TeiError`."""
    types = {429: "overloaded", 503: "unhealthy"}
    error_type = types.get(error.status, "validation" if error.status < 500 else "backend")
    return {"error": str(error), "error_type": error_type}


def tei_routes(judge: JudgeService) -> APIRouter:
    """The paths of text-embeddings-inference that no other API has."""
    routes = APIRouter(tags=[TAG], responses=error_responses(TeiError))

    @routes.post("/predict", summary="The head's outputs for texts, highest first; a list for each text of a batch")
    async def predict(request: PredictRequest) -> list[Prediction] | list[list[Prediction]]:
        inputs = request.inputs
        if isinstance(inputs, list) and isinstance(inputs[0], list):
            return await _predict(judge, request, [item for item in inputs if isinstance(item, list)])
        single = [inputs] if isinstance(inputs, str) else [text for text in inputs if isinstance(text, str)]
        return (await _predict(judge, request, [single]))[0]

    return routes


async def tei_rerank(judge: JudgeService, request: TeiRerankRequest) -> list[TeiRank]:
    """Answer `/rerank`."""
    truncate = request.truncate is not False
    answers = await compute_rewards_for_prompt(judge, request.query, request.texts, truncate=truncate)
    rewards = [answer.reward for answer in answers]
    return [
        TeiRank(
            index=i,
            text=request.texts[i] if request.return_text else None,
            score=rewards[i] if request.raw_scores else logistic(rewards[i]),
        )
        for i in sorted(range(len(rewards)), key=lambda i: -rewards[i])
    ]


async def _predict(
    judge: JudgeService, request: PredictRequest, inputs: Sequence[Sequence[str]]
) -> list[list[Prediction]]:
    def parse(texts: Sequence[str]) -> Conversation | Comparison:
        return parse_text(judge, texts[0]) if len(texts) == 1 else Conversation((texts[0],), (texts[1],))

    rows = await asyncio.to_thread(lambda: [parse(texts) for texts in inputs])
    truncate = request.truncate is not False
    outputs = await compute_outputs(judge, rows, probabilities=not request.raw_scores, truncate=truncate)
    return [_predictions(judge, output, raw=request.raw_scores) for output in outputs]


def _predictions(judge: JudgeService, output: TextOutput, *, raw: bool) -> list[Prediction]:
    is_reward = judge.gives_rewards and not raw
    scores = [logistic(value) if is_reward else value for value in output.values]
    labels = output_labels(judge)
    predictions = [Prediction(score=score, label=label) for score, label in zip(scores, labels, strict=True)]
    return sorted(predictions, key=lambda prediction: -prediction.score)
