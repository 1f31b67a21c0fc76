"""Paths that dialects share: the body decides which it is.

`/classify` with `text` or `input_ids` is SGLang's, else vLLM's. `/rerank` with `texts` is text-embeddings-inference's,
else vLLM's. `/v1/score` with an `answer` is Tiebreak's own, else vLLM's: its route is in `api`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter
from pydantic import Discriminator, Tag

from tiebreak.serving.compat.errors import VllmError, refusals
from tiebreak.serving.compat.sglang import SglangRequest, SglangResult, sglang_classify
from tiebreak.serving.compat.tei import TeiRank, TeiRerankRequest, tei_rerank
from tiebreak.serving.compat.vllm import ClassifyResponse, InputRequest, MessagesRequest, classify
from tiebreak.serving.compat.vllm_pairs import PairsRequest, RerankRequest, RerankResponse, rerank
from tiebreak.serving.schema import ScoreRequest

if TYPE_CHECKING:
    from tiebreak.serving.judge_service import JudgeService


def _classify_kind(body: Any) -> str:
    if not isinstance(body, dict):
        return "vLLM"
    if "messages" in body:
        return "vLLM messages"
    return "SGLang" if "input" not in body and ("text" in body or "input_ids" in body) else "vLLM"


def _rerank_kind(body: Any) -> str:
    return "TEI" if isinstance(body, dict) and "texts" in body else "vLLM"


def _score_kind(body: Any) -> str:
    pairs = ("text_1", "text_2", "queries", "documents", "items", "data_1", "data_2")
    return "vLLM" if isinstance(body, dict) and any(name in body for name in pairs) else "Tiebreak"


ClassifyBody = Annotated[
    Annotated[InputRequest, Tag("vLLM")]
    | Annotated[MessagesRequest, Tag("vLLM messages")]
    | Annotated[SglangRequest, Tag("SGLang")],
    Discriminator(_classify_kind),
]
RerankBody = Annotated[
    Annotated[RerankRequest, Tag("vLLM")] | Annotated[TeiRerankRequest, Tag("TEI")], Discriminator(_rerank_kind)
]
ScoreBody = Annotated[
    Annotated[ScoreRequest, Tag("Tiebreak")] | Annotated[PairsRequest, Tag("vLLM")], Discriminator(_score_kind)
]


def shared_routes(judge: JudgeService) -> APIRouter:
    """The paths that dialects share with each other."""
    routes = APIRouter(responses=refusals(VllmError))

    @routes.post("/classify", tags=["vLLM", "SGLang"], summary="What the head gives for texts")
    async def classify_texts(request: ClassifyBody) -> ClassifyResponse | SglangResult | list[SglangResult]:
        if isinstance(request, SglangRequest):
            return await sglang_classify(judge, request)
        return await classify(judge, request)

    @routes.post(
        "/rerank",
        tags=["vLLM", "text-embeddings-inference"],
        summary="Rank answers to a prompt",
        response_model_exclude_none=True,
    )
    async def rerank_texts(request: RerankBody) -> RerankResponse | list[TeiRank]:
        if isinstance(request, TeiRerankRequest):
            return await tei_rerank(judge, request)
        return await rerank(judge, request)

    return routes
