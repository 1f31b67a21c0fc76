"""The server as one ASGI app."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from tiebreak._version import RELEASE
from tiebreak.errors import MemoryBudgetError, RecipeError, TiebreakError
from tiebreak.serving.compat import compat_routes, error_body
from tiebreak.serving.errors import ServingError
from tiebreak.serving.judge_service import JudgeService, Limits
from tiebreak.serving.metrics import ServerMetrics
from tiebreak.serving.middleware import HEALTH_PATHS, RequestGuard
from tiebreak.serving.page import CONTENT_SECURITY_POLICY, page_files
from tiebreak.serving.routes import native_routes
from tiebreak.serving.schema import LimitsResponse, ModelResponse

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from tiebreak.data.chat_templates import RenderedTextParser
    from tiebreak.judges import Judge


def create_app(
    judge: Judge,
    *,
    name: str,
    limits: Limits | None = None,
    api_key: str | None = None,
    grace: float = 30.0,
    about: dict[str, Any] | None = None,
    policy: RenderedTextParser | None = None,
) -> ASGIApp:
    """The app that serves a judge: Tiebreak's own API, the compatibility APIs, the page, health checks and metrics.

    Args:
        judge: the judge to serve. It is called from threads of the app.
        name: the model name for clients.
        limits: of requests and the queue.
        api_key: expected as `Authorization: Bearer KEY`; None to serve without a key.
        grace: seconds for requests in flight at shutdown.
        about: `kind`, `base_model`, `metrics`, `verdict` and `recipe` of the run, for `GET /v1/model`.
        policy: parses the rendered texts of compatibility APIs; by default with all templates that are known.
    """
    limits = limits or Limits()
    metrics = ServerMetrics()
    service = JudgeService(judge, name, limits, metrics.observe_pass, policy)
    metrics.track_in_flight(lambda: service.in_flight)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        if service.is_draining:  # the app was shut down before, and is started again
            service.start()
        yield
        await asyncio.to_thread(service.drain, grace)

    app = FastAPI(
        title="Tiebreak",
        version=RELEASE,
        summary="A judge of answers: predicts which of two people would prefer, and scores them.",
        docs_url=None,  # these pages load scripts from other servers
        redoc_url=None,
        lifespan=lifespan,
    )
    app.include_router(native_routes(service, _model_response(service, about or {})))
    for routes in compat_routes(service):
        app.include_router(routes)
    _add_operations(app, service, metrics)
    _add_page(app)
    _add_error_handlers(app)
    return RequestGuard(
        app,
        api_key=api_key,
        body_bytes=limits.body_bytes,
        open_paths=frozenset((*HEALTH_PATHS, *page_files())),
        on_response=metrics.observe_request,
        error_body=error_body,
    )


def _model_response(service: JudgeService, about: dict[str, Any]) -> ModelResponse:
    limits = LimitsResponse(
        body_bytes=service.limits.body_bytes,
        texts=service.limits.texts,
        tokens=service.reads.max_length if service.reads else None,
        queue=service.limits.queue,
        seconds=service.limits.seconds,
    )
    return ModelResponse(
        name=service.name,
        tiebreak=RELEASE,
        gives_rewards=service.gives_rewards,
        calibration=service.calibration,
        limits=limits,
        kind=about.get("kind", "pointwise" if service.gives_rewards else "pairwise"),
        base_model=about.get("base_model"),
        metrics=about.get("metrics"),
        verdict=about.get("verdict"),
        recipe=about.get("recipe"),
    )


def _add_operations(app: FastAPI, service: JudgeService, server_metrics: ServerMetrics) -> None:
    """Health checks and metrics."""

    @app.get("/healthz", tags=["Operations"], summary="Liveness: the process is running")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/readyz", tags=["Operations"], summary="Readiness: the server accepts requests", responses={503: {}})
    async def readyz(response: Response) -> dict[str, str]:
        if service.is_draining:
            response.status_code = 503
            return {"status": "shutting down"}
        return {"status": "ready"}

    @app.get("/health", include_in_schema=False)  # its name in vLLM, text-embeddings-inference and SGLang
    async def health() -> Response:
        return Response()

    for path in HEALTH_PATHS:

        @app.head(path, include_in_schema=False)
        async def head() -> Response:
            return Response(status_code=503 if service.is_draining else 200)

    @app.get("/metrics", tags=["Operations"], summary="Metrics for Prometheus", response_class=Response)
    async def metrics() -> Response:
        body, media_type = server_metrics.render()
        return Response(body, media_type=media_type)


def _add_page(app: FastAPI) -> None:
    def add(path: str, media_type: str, body: bytes) -> None:
        @app.get(path, include_in_schema=False)
        async def page_file() -> Response:
            headers = {"content-security-policy": CONTENT_SECURITY_POLICY}
            return Response(body, media_type=media_type, headers=headers)

    for path, (media_type, body) in page_files().items():
        add(path, media_type, body)


def _add_error_handlers(app: FastAPI) -> None:
    """Errors in the format of the path's API. No message contains a text of the request."""

    @app.exception_handler(TiebreakError)
    async def handle_tiebreak_error(request: Request, error: TiebreakError) -> JSONResponse:
        if isinstance(error, ServingError):
            return _error_response(request, error)
        if isinstance(error, MemoryBudgetError):
            return _error_response(request, _serving_error(str(error), 503, "out_of_memory"))
        if isinstance(error, RecipeError):  # a text that cannot be cut, or that the judge's chat template refuses
            return _error_response(request, _serving_error(str(error), 422, "invalid_request"))
        return _error_response(request, ServingError(str(error)))

    @app.exception_handler(RequestValidationError)
    async def handle_invalid_request(request: Request, error: RequestValidationError) -> JSONResponse:
        message = "; ".join(_validation_message(detail) for detail in error.errors()[:5])
        # Other types are refused, because any web page can make a browser send them here.
        content_type = request.headers.get("content-type", "none")
        if "json" not in content_type:
            message = f"Content-Type is {content_type[:60]}. Send application/json. {message}"
        return _error_response(request, _serving_error(message, 422, "invalid_request"))

    @app.exception_handler(HTTPException)
    async def handle_http_error(request: Request, error: HTTPException) -> JSONResponse:
        method, path, headers = request.method, request.url.path, error.headers or {}
        message = {
            404: f"{path} does not exist. See /openapi.json for all paths.",
            405: f"{method} is not allowed for {path}. Use {headers.get('Allow', 'another method')}.",
        }.get(error.status_code, str(error.detail))
        kind = "not_found" if error.status_code == 404 else "invalid_request"
        response = _error_response(request, _serving_error(message, error.status_code, kind))
        response.headers.update(headers)
        return response

    @app.exception_handler(Exception)
    async def handle_bug(request: Request, _: Exception) -> JSONResponse:
        # The error itself goes to the log only: its message may contain a text of the request.
        return _error_response(request, ServingError("The server failed on this request. See its log."))


def _serving_error(message: str, status: int, kind: str) -> ServingError:
    error = ServingError(message)
    error.status, error.type = status, kind
    return error


def _error_response(request: Request, error: ServingError) -> JSONResponse:
    headers = {} if error.retry_after is None else {"retry-after": str(error.retry_after)}
    return JSONResponse(error_body(request.url.path, error), error.status, headers)


def _validation_message(detail: dict[str, Any]) -> str:
    """Where and what is wrong, without the value, which may be a prompt."""
    if detail["type"] == "json_invalid":
        return f"The body is not JSON: {detail.get('ctx', {}).get('error', detail['msg'])}"
    parts = [str(part) for part in detail["loc"] if part != "body"]
    if len(parts) > 1 and parts[0] == "Tiebreak":  # its own API, on a path that other APIs have too: no field
        del parts[0]
    where = ".".join(parts)
    return f"{where or 'the body'}: {detail['msg']}"
