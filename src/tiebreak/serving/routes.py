"""Tiebreak's own API: compare, score, rank, and the served model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Body

from tiebreak.judges import Score, Verdict
from tiebreak.judges.answer_order import mean_verdict
from tiebreak.serving.compat.routing import ScoreBody
from tiebreak.serving.compat.vllm_pairs import PairsRequest, PairsResponse
from tiebreak.serving.compat.vllm_pairs import score as score_pairs
from tiebreak.serving.conversations import parse_comparison, parse_conversation, parse_conversations
from tiebreak.serving.errors import ErrorResponse, error_responses
from tiebreak.serving.judge_service import JudgeService
from tiebreak.serving.schema import (
    CompareManyRequest,
    CompareManyResponse,
    CompareRequest,
    CompareResponse,
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


def native_routes(judge: JudgeService, model: ModelResponse) -> APIRouter:
    """Tiebreak's own routes below /v1.

    Args:
        judge: the judge that is served.
        model: the answer to `GET /v1/model`.
    """
    routes = APIRouter(prefix="/v1", tags=["Tiebreak"], responses=error_responses(ErrorResponse))

    @routes.get("/model", summary="The served judge and the server's limits")
    async def get_model() -> ModelResponse:
        return model

    @routes.post("/compare", summary="Compare two answers to a prompt")
    async def compare(request: Annotated[CompareRequest, Body()]) -> CompareResponse:
        [verdict] = await compare_all([parse_comparison(request.prompt, request.answers, request.system)], request)
        return verdict

    @routes.post("/compare/batch", summary="Judge many comparisons")
    async def compare_many(request: Annotated[CompareManyRequest, Body()]) -> CompareManyResponse:
        comparisons = [parse_comparison(pair.prompt, pair.answers, pair.system) for pair in request.comparisons]
        return CompareManyResponse(verdicts=await compare_all(comparisons, request))

    @routes.post("/score", summary="Score one answer; or, in vLLM's format, answers to prompts", tags=["vLLM"])
    async def score(request: ScoreBody) -> ScoreResponse | PairsResponse:
        if isinstance(request, PairsRequest):
            return await score_pairs(judge, request)
        conversation = parse_conversation(request.prompt, request.answer, request.system)
        [score] = await judge.score([conversation], truncate=request.truncate)
        return _score_response(score)

    @routes.post("/score/batch", summary="Score many answers")
    async def score_many(request: Annotated[ScoreManyRequest, Body()]) -> ScoreManyResponse:
        conversations = [parse_conversation(item.prompt, item.answer, item.system) for item in request.conversations]
        scores = await judge.score(conversations, truncate=request.truncate)
        return ScoreManyResponse(scores=[_score_response(score) for score in scores])

    @routes.post("/rank", summary="Rank any number of answers to a prompt")
    async def rank(request: Annotated[RankRequest, Body()]) -> RankResponse:
        conversations = parse_conversations(request.prompt, request.answers, request.system)
        ranking = await judge.rank(conversations, swap=request.swap, truncate=request.truncate)
        normalised = ranking.normalised or [None] * len(conversations)
        ranked = [
            Ranked(index=i, rank=ranking.ranks[i], reward=ranking.rewards[i], normalised=normalised[i])
            for i in sorted(range(len(conversations)), key=lambda i: (ranking.ranks[i], i))
        ]
        return RankResponse(
            best=ranking.best, ranking=ranked, comparisons=ranking.comparisons, tokens_lost=ranking.tokens_lost
        )

    async def compare_all(
        comparisons: Sequence[Comparison], request: CompareRequest | CompareManyRequest
    ) -> list[CompareResponse]:
        orders = await judge.compare(comparisons, swap=request.swap, truncate=request.truncate)
        return [_compare_response(*verdicts, calibrated=judge.is_calibrated) for verdicts in orders]

    return routes


def _compare_response(as_given: Verdict, swapped: Verdict | None, *, calibrated: bool) -> CompareResponse:
    mean, orders, disagreement = as_given, None, None
    if swapped is not None:
        mean = mean_verdict(as_given, swapped)
        orders = Orders(as_given=_probabilities(as_given), swapped=_probabilities(swapped))
        pairs = zip(as_given.probabilities, swapped.probabilities, strict=True)
        disagreement = sum(abs(first - second) for first, second in pairs) / 2
    return CompareResponse(
        verdict=mean.answer,
        probabilities=_probabilities(mean),
        orders=orders,
        disagreement=disagreement,
        rewards=as_given.rewards,
        calibrated=calibrated,
        tokens_read=as_given.tokens_read,
        tokens_lost=as_given.tokens_lost,
    )


def _probabilities(verdict: Verdict) -> Probabilities:
    return Probabilities(model_a=verdict.model_a, model_b=verdict.model_b, tie=verdict.tie)


def _score_response(score: Score) -> ScoreResponse:
    return ScoreResponse(
        reward=score.reward,
        normalised=score.normalised,
        tokens_read=score.tokens_read,
        tokens_lost=score.tokens_lost,
    )
