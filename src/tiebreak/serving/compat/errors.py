"""What a refusal looks like, as each path's clients expect it."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, Literal

from pydantic import BaseModel

if TYPE_CHECKING:
    from tiebreak.serving.errors import ServingError

VLLM_PATHS: Final = frozenset(
    ("/classify", "/v1/classify", "/pooling", "/score", "/rerank", "/v1/rerank", "/v2/rerank", "/v1/models")
)
"""Those with another server's paths among them: which dialect a body has is not known before it was read."""
TEI_PATHS: Final = frozenset(("/predict",))


class VllmErrorDetail(BaseModel):
    """What is wrong, as OpenAI tells it and vLLM does."""

    message: str
    type: str
    param: str | None
    code: int


class VllmError(BaseModel):
    """A refusal as vLLM has it."""

    error: VllmErrorDetail


class TeiError(BaseModel):
    """A refusal as text-embeddings-inference has it."""

    error: str
    error_type: Literal["unhealthy", "backend", "overloaded", "validation"]


def refusals(model: type[BaseModel]) -> dict[int | str, dict[str, Any]]:
    """The refusals of a dialect's routes, for OpenAPI."""
    said = {
        400: "It is not HTTP or JSON as it should be.",
        401: "The API key is missing or another.",
        404: "The request names another model than the one served.",
        413: "More than a request may hold.",
        422: "Understood, and impossible; the message says why.",
        429: "As much is waiting as may; Retry-After says when to try again.",
        503: "The server is shutting down.",
        504: "It was not judged in time.",
    }
    return {status: {"model": model, "description": description} for status, description in said.items()}


def refusal_of(path: str, error: ServingError) -> Any:
    """An error as the dialect of a path tells it; Tiebreak's own everywhere else.

    On paths that dialects share (`/classify`, `/rerank`) it is vLLM's, whichever sent the request.
    """
    if path in TEI_PATHS:
        kinds = {429: "overloaded", 503: "unhealthy"}
        kind = kinds.get(error.status, "validation" if error.status < 500 else "backend")
        return {"error": str(error), "error_type": kind}
    if path in VLLM_PATHS:
        kinds = {400: "BadRequestError", 404: "NotFoundError", 413: "BadRequestError", 422: "BadRequestError"}
        kind = kinds.get(error.status, HTTPStatus(error.status).phrase)
        return {"error": {"message": str(error), "type": kind, "param": None, "code": error.status}}
    return {"error": {"message": str(error), "type": error.type, "code": error.status}}
