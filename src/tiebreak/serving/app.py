"""The whole server as one ASGI app."""

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
from tiebreak.errors import MemoryBudgetError, TiebreakError
from tiebreak.serving.compat import compat_routes, refusal_of
from tiebreak.serving.errors import ServingError
from tiebreak.serving.judge_service import JudgeService, Limits
from tiebreak.serving.metrics import ServerMetrics
from tiebreak.serving.middleware import OPEN, RequestGuard
from tiebreak.serving.page import CONTENT_SECURITY_POLICY, page_files
from tiebreak.serving.routes import native_routes
from tiebreak.serving.schema import LimitsResponse, ModelResponse

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from tiebreak.judges import Judge


def create_app(
    judge: Judge,
    *,
    name: str,
    limits: Limits | None = None,
    api_key: str | None = None,
    grace: float = 30.0,
    about: dict[str, Any] | None = None,
) -> ASGIApp:
    """The app that serves a judge: Tiebreak's own API, the dialects, the page, health and metrics.

    Args:
        judge: what judges; it is asked from threads of the app's own.
        name: what clients call it.
        limits: what a request may ask for.
        api_key: to be shown as `Authorization: Bearer KEY`; None serves everyone who reaches it.
        grace: seconds in which what was accepted is finished at shutdown.
        about: `kind`, `base_model`, `metrics` and `recipe` of what is served, for `GET /v1/model`.
    """
    limits = limits or Limits()
    counters = ServerMetrics()
    served = JudgeService(judge, name, limits, counters.judged)
    counters.watch(lambda: served.counts)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        del app
        if served.is_draining:  # the app was shut down before, and is started again
            served.open()
        yield
        await asyncio.to_thread(served.drain, grace)

    app = FastAPI(
        title="Tiebreak",
        version=RELEASE,
        summary="A judge of answers: which of two people would prefer, and how good one is.",
        docs_url=None,  # their pages load scripts from elsewhere
        redoc_url=None,
        lifespan=lifespan,
    )
    app.include_router(native_routes(served, _model(served, about or {})))
    for routes in compat_routes(served):
        app.include_router(routes)
    _add_upkeep(app, served, counters)
    _add_page(app)
    _add_refusals(app)
    return RequestGuard(
        app,
        api_key=api_key,
        body_bytes=limits.body_bytes,
        open_paths=frozenset((*OPEN, *page_files())),
        on_done=counters.request,
        refusal=refusal_of,
    )


def _model(judge: JudgeService, about: dict[str, Any]) -> ModelResponse:
    limits = LimitsResponse(
        body_bytes=judge.limits.body_bytes,
        texts=judge.limits.texts,
        tokens=judge.reads.max_length if judge.reads else None,
        queue=judge.limits.queue,
        seconds=judge.limits.seconds,
    )
    known = {"kind": "pointwise" if judge.gives_rewards else "pairwise", "base_model": None} | about
    return ModelResponse(
        name=judge.name,
        tiebreak=RELEASE,
        gives_rewards=judge.gives_rewards,
        calibration=judge.calibration,
        limits=limits,
        kind=known["kind"],
        base_model=known["base_model"],
        metrics=known.get("metrics"),
        recipe=known.get("recipe"),
    )


def _add_upkeep(app: FastAPI, judge: JudgeService, counters: ServerMetrics) -> None:
    @app.get("/healthz", tags=["Upkeep"], summary="Whether the process is alive")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/readyz", tags=["Upkeep"], summary="Whether it takes requests", responses={503: {}})
    async def readyz(response: Response) -> dict[str, str]:
        if judge.is_draining:
            response.status_code = 503
            return {"status": "shutting down"}
        return {"status": "ready"}

    @app.get("/health", include_in_schema=False)  # as vLLM, text-embeddings-inference and SGLang call it
    async def health() -> Response:
        return Response()

    for path in OPEN:

        @app.head(path, include_in_schema=False)
        async def head() -> Response:
            return Response(status_code=503 if judge.is_draining else 200)

    @app.get("/metrics", tags=["Upkeep"], summary="For Prometheus", response_class=Response)
    async def metrics() -> Response:
        body, media_type = counters.text()
        return Response(body, media_type=media_type)


def _add_page(app: FastAPI) -> None:
    def add(path: str, media_type: str, body: bytes) -> None:
        @app.get(path, include_in_schema=False)
        async def page_file() -> Response:
            headers = {"content-security-policy": CONTENT_SECURITY_POLICY}
            return Response(body, media_type=media_type, headers=headers)

    for path, (media_type, body) in page_files().items():
        add(path, media_type, body)


def _add_refusals(app: FastAPI) -> None:
    """Every refusal in the shape of the path's dialect, and none with a text of the request in it."""

    def refuse(request: Request, error: ServingError) -> JSONResponse:
        headers = {} if error.retry_after is None else {"retry-after": str(error.retry_after)}
        return JSONResponse(refusal_of(request.url.path, error), error.status, headers)

    @app.exception_handler(TiebreakError)
    async def refused(request: Request, error: TiebreakError) -> JSONResponse:
        if isinstance(error, ServingError):
            return refuse(request, error)
        shown = ServingError(str(error))
        if isinstance(error, MemoryBudgetError):
            shown.status, shown.type = 503, "out_of_memory"
        return refuse(request, shown)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        sent = request.headers.get("content-type", "none")
        reasons = "; ".join(_reason(one) for one in error.errors()[:5])
        # Other types are refused, since any web page can make a browser send them here.
        wrong = "" if "json" in sent else f"Send it as Content-Type: application/json (it is {sent[:60]}). "
        shown = ServingError(wrong + reasons)
        shown.status, shown.type = 422, "invalid_request"
        return refuse(request, shown)

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> JSONResponse:
        asked = f"{request.method} {request.url.path}"
        reasons = {
            404: f"There is nothing at {asked}: /openapi.json lists what there is.",
            405: f"{asked} is not taken here, but {(error.headers or {}).get('Allow', 'another method')} is.",
        }
        shown = ServingError(reasons.get(error.status_code, str(error.detail)))
        shown.status, shown.type = error.status_code, "not_found" if error.status_code == 404 else "invalid_request"
        response = refuse(request, shown)
        response.headers.update(error.headers or {})
        return response

    @app.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> JSONResponse:
        del error  # it goes on to the log; its message may hold a text
        return refuse(request, ServingError("The server failed on this request; its log says why."))


def _reason(error: dict[str, Any]) -> str:
    """What is wrong where, without what was given: that may be a prompt."""
    if error["type"] == "json_invalid":
        return f"The body is not JSON: {error.get('ctx', {}).get('error', error['msg'])}"
    where = ".".join(str(part) for part in error["loc"] if part != "body")
    return f"{where or 'the body'}: {error['msg']}"
