"""All compatibility APIs together: their routers, the paths that two of them share, and the error format of each path.

The request body selects the API on a shared path:

- `/classify`: SGLang's with `text` or `input_ids`, else vLLM's;
- `/rerank`: text-embeddings-inference's with `texts`, else vLLM's;
- `/v1/score`: vLLM's with prompts and answers, else Tiebreak's own. Its route is in `serving.routes`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import APIRouter
from pydantic import Discriminator, Tag

from tiebreak.serving.compat.llamafactory import llamafactory_routes
from tiebreak.serving.compat.openrlhf import openrlhf_routes
from tiebreak.serving.compat.sglang import SglangRequest, SglangResult, sglang_classify
from tiebreak.serving.compat.tei import TeiRank, TeiRerankRequest, tei_error_body, tei_rerank, tei_routes
from tiebreak.serving.compat.vllm import (
    ClassifyResponse,
    InputRequest,
    MessagesRequest,
    VllmError,
    classify,
    vllm_error_body,
    vllm_routes,
)
from tiebreak.serving.compat.vllm_pairs import PairsRequest, RerankRequest, RerankResponse, rerank, vllm_pair_routes
from tiebreak.serving.errors import ServingError, error_responses, native_error_body
from tiebreak.serving.schema import ScoreRequest

if TYPE_CHECKING:
    from tiebreak.serving.judge_service import JudgeService

VLLM_PATHS: Final = frozenset(
    ("/classify", "/v1/classify", "/pooling", "/score", "/rerank", "/v1/rerank", "/v2/rerank", "/v1/models")
)
"""Paths with vLLM's error format. It is also that of shared paths: errors can occur before the body is read."""
TEI_PATHS: Final = frozenset(("/predict",))


def compat_routes(judge: JudgeService) -> list[APIRouter]:
    """The routers of all compatibility APIs."""
    makers = (openrlhf_routes, vllm_routes, vllm_pair_routes, shared_routes, tei_routes, llamafactory_routes)
    return [routes(judge) for routes in makers]


def error_body(path: str, error: ServingError) -> Any:
    """The JSON for an error on a path, in the format of the path's API."""
    if path in TEI_PATHS:
        return tei_error_body(error)
    if path in VLLM_PATHS:
        return vllm_error_body(error)
    return native_error_body(error)


def _classify_api(body: Any) -> str:
    if not isinstance(body, dict):
        return "vLLM"
    if "messages" in body:
        return "vLLM messages"
    return "SGLang" if "input" not in body and ("text" in body or "input_ids" in body) else "vLLM"


def _rerank_api(body: Any) -> str:
    return "TEI" if isinstance(body, dict) and "texts" in body else "vLLM"


def _score_api(body: Any) -> str:
    vllm_fields = ("text_1", "text_2", "queries", "documents", "items", "data_1", "data_2")
    return "vLLM" if isinstance(body, dict) and any(name in body for name in vllm_fields) else "Tiebreak"


ClassifyBody = Annotated[
    Annotated[InputRequest, Tag("vLLM")]
    | Annotated[MessagesRequest, Tag("vLLM messages")]
    | Annotated[SglangRequest, Tag("SGLang")],
    Discriminator(_classify_api),
]
RerankBody = Annotated[
    Annotated[RerankRequest, Tag("vLLM")] | Annotated[TeiRerankRequest, Tag("TEI")], Discriminator(_rerank_api)
]
ScoreBody = Annotated[
    Annotated[ScoreRequest, Tag("Tiebreak")] | Annotated[PairsRequest, Tag("vLLM")], Discriminator(_score_api)
]


def shared_routes(judge: JudgeService) -> APIRouter:
    """The paths that two compatibility APIs share."""
    routes = APIRouter(responses=error_responses(VllmError))

    @routes.post("/classify", tags=["vLLM", "SGLang"], summary="The head's outputs for texts")
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
