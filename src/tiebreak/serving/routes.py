"""The server's own API: compare, score, rank, and what is served."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final

from fastapi import APIRouter, Body

from tiebreak.judges import Score, Verdict
from tiebreak.judges.answer_order import mean_verdict
from tiebreak.serving.compat.routing import ScoreBody
from tiebreak.serving.compat.vllm_pairs import PairsRequest, PairsResponse
from tiebreak.serving.compat.vllm_pairs import score as score_pairs
from tiebreak.serving.conversations import comparison_of, conversation_of
from tiebreak.serving.judge_service import JudgeService
from tiebreak.serving.schema import (
    CompareManyRequest,
    CompareManyResponse,
    CompareRequest,
    CompareResponse,
    ErrorResponse,
    ModelResponse,
    Orders,
    Probabilities,
    Ranked,
    RankRequest,
    RankResponse,
    ScoreManyRequest,
    ScoreManyResponse,
    ScoreResponse,
)
from tiebreak.types import Comparison

REFUSALS: Final[dict[int | str, dict[str, Any]]] = {
    400: {"model": ErrorResponse, "description": "It is not HTTP or JSON as it should be."},
    401: {"model": ErrorResponse, "description": "The API key is missing or another."},
    404: {"model": ErrorResponse, "description": "The request names another model than the one served."},
    413: {"model": ErrorResponse, "description": "More than a request may hold."},
    422: {"model": ErrorResponse, "description": "Understood, and impossible; the message says why."},
    429: {"model": ErrorResponse, "description": "As much is waiting as may; Retry-After says when to try again."},
    503: {"model": ErrorResponse, "description": "The server is shutting down."},
    504: {"model": ErrorResponse, "description": "It was not judged in time."},
}


def native_routes(judge: JudgeService, model: ModelResponse) -> APIRouter:
    """The routes below /v1 that are Tiebreak's own.

    Args:
        judge: what is asked.
        model: what `GET /v1/model` says.
    """
    routes = APIRouter(prefix="/v1", tags=["Tiebreak"], responses=REFUSALS)

    @routes.get("/model", summary="What is served")
    async def get_model() -> ModelResponse:
        return model

    @routes.post("/compare", summary="Judge two answers to a prompt")
    async def compare(request: Annotated[CompareRequest, Body()]) -> CompareResponse:
        [verdict] = await judged([comparison_of(request.prompt, request.answers)], request)
        return verdict

    @routes.post("/compare/batch", summary="Judge many comparisons together")
    async def compare_many(request: Annotated[CompareManyRequest, Body()]) -> CompareManyResponse:
        comparisons = [comparison_of(pair.prompt, pair.answers) for pair in request.comparisons]
        return CompareManyResponse(verdicts=await judged(comparisons, request))

    @routes.post("/score", summary="Give one answer a reward; or, as vLLM has it, answers to prompts", tags=["vLLM"])
    async def score(request: ScoreBody) -> ScoreResponse | PairsResponse:
        if isinstance(request, PairsRequest):
            return await score_pairs(judge, request)
        [found] = await judge.score([conversation_of(request.prompt, request.answer)], truncate=request.truncate)
        return _score(found)

    @routes.post("/score/batch", summary="Give many answers rewards")
    async def score_many(request: Annotated[ScoreManyRequest, Body()]) -> ScoreManyResponse:
        asked = [conversation_of(c.prompt, c.answer) for c in request.conversations]
        return ScoreManyResponse(scores=[_score(s) for s in await judge.score(asked, truncate=request.truncate)])

    @routes.post("/rank", summary="Rank any number of answers to a prompt")
    async def rank(request: Annotated[RankRequest, Body()]) -> RankResponse:
        sides = [conversation_of(request.prompt, a, f"answers[{i}]") for i, a in enumerate(request.answers)]
        ranking = await judge.rank(
            sides[0].prompt, [side.answer for side in sides], swap=request.swap, truncate=request.truncate
        )
        normalised = ranking.normalised or [None] * len(sides)
        ranked = [
            Ranked(index=i, rank=ranking.ranks[i], reward=ranking.rewards[i], normalised=normalised[i])
            for i in sorted(range(len(sides)), key=lambda i: (ranking.ranks[i], i))
        ]
        return RankResponse(
            best=ranking.best, ranking=ranked, comparisons=ranking.comparisons, tokens_lost=ranking.tokens_lost
        )

    async def judged(
        comparisons: Sequence[Comparison], request: CompareRequest | CompareManyRequest
    ) -> list[CompareResponse]:
        verdicts = await judge.compare(comparisons, swap=request.swap, truncate=request.truncate)
        return [_verdict(*both, calibrated=judge.is_calibrated) for both in verdicts]

    return routes


def _verdict(given: Verdict, swapped: Verdict | None, *, calibrated: bool) -> CompareResponse:
    mean = given if swapped is None else mean_verdict(given, swapped)
    both, apart = None, None
    if swapped is not None:
        both = Orders(as_given=_probabilities(given), swapped=_probabilities(swapped))
        apart = (
            abs(given.model_a - swapped.model_a) + abs(given.model_b - swapped.model_b) + abs(given.tie - swapped.tie)
        ) / 2
    return CompareResponse(
        verdict=mean.answer,
        probabilities=_probabilities(mean),
        orders=both,
        disagreement=apart,
        rewards=given.rewards,
        calibrated=calibrated,
        tokens_read=given.tokens_read,
        tokens_lost=given.tokens_lost,
    )


def _probabilities(verdict: Verdict) -> Probabilities:
    return Probabilities(model_a=verdict.model_a, model_b=verdict.model_b, tie=verdict.tie)


def _score(score: Score) -> ScoreResponse:
    return ScoreResponse(
        reward=score.reward,
        normalised=score.normalised,
        tokens_read=score.tokens_read,
        tokens_lost=score.tokens_lost,
    )
