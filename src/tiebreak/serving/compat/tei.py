"""text-embeddings-inference: `/predict` of texts, or of pairs of a prompt and an answer; `/rerank` is in `shared`.

As there, scores are probabilities, of one reward the logistic, and `raw_scores` gives logits, or the reward in nats.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictStr

from tiebreak.serving.compat.errors import TeiError, refusals
from tiebreak.serving.compat.input_parsing import parse_text
from tiebreak.serving.compat.outputs import Judged, labels, logistic, outputs_of
from tiebreak.serving.compat.rewards import ranked
from tiebreak.serving.compat.schema import CHAT, Request, explained
from tiebreak.types import Comparison, Conversation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tiebreak.serving.judge_service import JudgeService

TAG = "text-embeddings-inference"

OneOrPair = Annotated[list[StrictStr], Field(min_length=1, max_length=2)]
Inputs = Annotated[
    StrictStr | OneOrPair | Annotated[list[OneOrPair], Field(min_length=1)],
    explained("give a text, a pair [prompt, answer], or a batch: a list of lists of one text or two"),
    Field(
        description="A text that was rendered, or a pair of a prompt and an answer; or a batch, each of its members a "
        "list of one or two."
    ),
]


class TeiRequest(Request):
    """What its requests have in common."""

    truncate: StrictBool | None = Field(
        None, description="Cut what is longer than the judge reads, in the way it was trained with; false refuses it."
    )
    raw_scores: StrictBool = False


class PredictRequest(TeiRequest):
    """Texts, or prompts with answers."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"inputs": CHAT}, {"inputs": [["1 + 1 = ?", "2"]], "raw_scores": True}]}
    )

    inputs: Inputs


class TeiRerankRequest(TeiRequest):
    """A prompt, and answers to be ranked."""

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


def tei_routes(judge: JudgeService) -> APIRouter:
    """The path that is text-embeddings-inference's alone."""
    routes = APIRouter(tags=[TAG], responses=refusals(TeiError))

    @routes.post("/predict", summary="What the head gives for texts, the highest first; a list each for a batch")
    async def predict(request: PredictRequest) -> list[Prediction] | list[list[Prediction]]:
        given = request.inputs
        if isinstance(given, list) and isinstance(given[0], list):
            return await _predicted(judge, request, [one for one in given if isinstance(one, list)])
        one = [given] if isinstance(given, str) else [text for text in given if isinstance(text, str)]
        return (await _predicted(judge, request, [one]))[0]

    return routes


async def tei_rerank(judge: JudgeService, request: TeiRerankRequest) -> list[TeiRank]:
    """Answer `/rerank`."""
    found = await ranked(judge, request.query, request.texts, truncate=request.truncate is not False)
    return [
        TeiRank(
            index=i,
            text=request.texts[i] if request.return_text else None,
            score=found[i].reward if request.raw_scores else logistic(found[i].reward),
        )
        for i in sorted(range(len(found)), key=lambda i: -found[i].reward)
    ]


async def _predicted(
    judge: JudgeService, request: PredictRequest, inputs: Sequence[Sequence[str]]
) -> list[list[Prediction]]:
    said: list[Conversation | Comparison] = [
        parse_text(judge, one[0]) if len(one) == 1 else Conversation((one[0],), (one[1],)) for one in inputs
    ]
    found = await outputs_of(judge, said, probabilities=not request.raw_scores, truncate=request.truncate is not False)
    return [_predictions(judge, one, raw=request.raw_scores) for one in found]


def _predictions(judge: JudgeService, judged: Judged, *, raw: bool) -> list[Prediction]:
    squashed = judge.gives_rewards and not raw
    scores = [logistic(output) if squashed else output for output in judged.outputs]
    predictions = [Prediction(score=s, label=label) for s, label in zip(scores, labels(judge), strict=True)]
    return sorted(predictions, key=lambda one: -one.score)
