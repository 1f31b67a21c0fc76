"""vLLM's `/classify` and `/pooling`: the head's outputs for texts, token ids or messages; and its `/v1/models`.

The outputs are those of vLLM with an exported folder, except for calibration: three probabilities, or the unchanged
reward, since exports have `problem_type: regression`. With `use_activation: false` they are logits, or the same reward.
verl reads the last value of the last text.
"""

from __future__ import annotations

from http import HTTPStatus
from time import time
from typing import TYPE_CHECKING, Annotated, Any, Literal
from uuid import uuid4

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Discriminator, Field, StrictBool, StrictInt, Tag

from tiebreak.serving.compat.inputs import (
    EXAMPLE_CHAT,
    CompatRequest,
    ModelName,
    TextsOrIds,
    input_rows,
    parse_messages,
    parse_rows,
)
from tiebreak.serving.compat.outputs import AnswerReward, TextOutput, compute_outputs, output_labels
from tiebreak.serving.errors import InvalidRequestError, ServingError, UnknownModelError, error_responses
from tiebreak.serving.schema import ChatMessage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tiebreak.serving.judge_service import JudgeService

TAG = "vLLM"


class VllmRequest(CompatRequest):
    """Fields of every request."""

    model: ModelName = None
    truncate_prompt_tokens: Annotated[StrictInt, Field(ge=-1)] | None = Field(
        None,
        description="Texts of more tokens are refused, where vLLM would keep only the last ones. The judge truncates "
        "texts only at its own limit, as in training.",
    )
    use_activation: StrictBool | None = Field(
        None, description="Return probabilities; false for logits. It does not change rewards."
    )
    activation: StrictBool | None = Field(None, description="use_activation before vLLM 0.11.2.")
    softmax: StrictBool | None = Field(None, description="use_activation in older versions.")

    @property
    def activated(self) -> bool:
        """The first of the three names that is set."""
        flags = (self.use_activation, self.activation, self.softmax)
        return next((flag for flag in flags if flag is not None), True)


class InputRequest(VllmRequest):
    """Rendered texts."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"input": [EXAMPLE_CHAT]}]})

    input: TextsOrIds


class MessagesRequest(VllmRequest):
    """A conversation that ends in the assistant's message; for a pairwise judge in response_a and response_b."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"messages": [{"role": "user", "content": "1 + 1 = ?"}, {"role": "assistant", "content": "2"}]},
                {
                    "messages": [
                        {"role": "user", "content": "1 + 1 = ?"},
                        {"role": "response_a", "content": "2"},
                        {"role": "response_b", "content": "3"},
                    ]
                },
            ]
        }
    )

    messages: Annotated[list[ChatMessage], Field(min_length=1)]


class PoolingFields(VllmRequest):
    """Further fields of `/pooling`."""

    encoding_format: Literal["float"] = "float"
    task: Literal["classify", "score", "encode", "reward"] | None = None


class PoolingInputRequest(InputRequest, PoolingFields):
    """Rendered texts."""


class PoolingMessagesRequest(MessagesRequest, PoolingFields):
    """A conversation, as for `/classify`."""


class Usage(BaseModel):
    """Tokens read."""

    prompt_tokens: int
    total_tokens: int
    completion_tokens: int = 0
    prompt_tokens_details: None = None


class Classification(BaseModel):
    """The head's outputs for a text."""

    index: int
    label: str = Field(description="The most likely outcome; or `reward`.")
    probs: list[float] = Field(description="Over (A, B, tie); or the reward.")
    num_classes: int


class ClassifyResponse(BaseModel):
    """The head's outputs for each text, in their order."""

    id: str
    object: Literal["list"] = "list"
    created: int
    model: str
    data: list[Classification]
    usage: Usage


class PoolingData(BaseModel):
    """The head's outputs for a text."""

    index: int
    object: Literal["pooling"] = "pooling"
    data: list[float]


class PoolingResponse(BaseModel):
    """The head's outputs for each text, in their order."""

    id: str
    object: Literal["list"] = "list"
    created: int
    model: str
    data: list[PoolingData]
    usage: Usage


class ModelCard(BaseModel):
    """The served model."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: Literal["tiebreak"] = "tiebreak"
    root: str
    parent: None = None
    max_model_len: int | None = Field(description="The judge's limit for a text, in tokens.")


class ModelList(BaseModel):
    """The served model, as a list."""

    object: Literal["list"] = "list"
    data: list[ModelCard]


class VllmErrorDetail(BaseModel):
    """What is wrong."""

    message: str
    type: str
    param: str | None
    code: int


class VllmError(BaseModel):
    """An error in vLLM's format, which is that of OpenAI."""

    error: VllmErrorDetail


def vllm_error_body(error: ServingError) -> dict[str, Any]:
    """An error as a `VllmError`."""
    types = {400: "BadRequestError", 404: "NotFoundError", 413: "BadRequestError", 422: "BadRequestError"}
    error_type = types.get(error.status, HTTPStatus(error.status).phrase)
    return {"error": {"message": str(error), "type": error_type, "param": None, "code": error.status}}


def _input_kind(body: Any) -> str:
    return "messages" if isinstance(body, dict) and "messages" in body else "input"


ClassifyRequest = Annotated[
    Annotated[InputRequest, Tag("input")] | Annotated[MessagesRequest, Tag("messages")], Discriminator(_input_kind)
]
PoolingRequest = Annotated[
    Annotated[PoolingInputRequest, Tag("input")] | Annotated[PoolingMessagesRequest, Tag("messages")],
    Discriminator(_input_kind),
]


def vllm_routes(judge: JudgeService) -> APIRouter:
    """vLLM's paths for classification, and its list of models; `/classify` is in `routing`."""
    routes = APIRouter(tags=[TAG], responses=error_responses(VllmError))
    started = int(time())

    @routes.post("/v1/classify", summary="The head's outputs for texts")
    async def classify_texts(request: ClassifyRequest) -> ClassifyResponse:
        return await classify(judge, request)

    @routes.post("/pooling", summary="The head's outputs for texts, without labels")
    async def pooling(request: PoolingRequest) -> PoolingResponse:
        outputs = await _compute_outputs(judge, request)
        data = [PoolingData(index=i, data=list(output.values)) for i, output in enumerate(outputs)]
        return PoolingResponse(
            id=new_id("pool"), created=int(time()), model=judge.name, data=data, usage=usage_for(outputs)
        )

    @routes.get("/v1/models", summary="The name of the served model")
    async def models() -> ModelList:
        max_length = judge.reads.max_length if judge.reads else None
        return ModelList(data=[ModelCard(id=judge.name, created=started, root=judge.name, max_model_len=max_length)])

    return routes


async def classify(judge: JudgeService, request: InputRequest | MessagesRequest) -> ClassifyResponse:
    """Answer `/classify`."""
    outputs = await _compute_outputs(judge, request)
    labels = output_labels(judge)
    data = [
        Classification(
            index=i,
            label=labels[max(range(len(labels)), key=output.values.__getitem__)],
            probs=list(output.values),
            num_classes=len(labels),
        )
        for i, output in enumerate(outputs)
    ]
    return ClassifyResponse(
        id=new_id("classify"), created=int(time()), model=judge.name, data=data, usage=usage_for(outputs)
    )


async def _compute_outputs(judge: JudgeService, request: InputRequest | MessagesRequest) -> list[TextOutput]:
    check_model_name(judge, request.model)
    if isinstance(request, MessagesRequest):
        messages = [message.read("messages", number) for number, message in enumerate(request.messages, start=1)]
        outputs = await compute_outputs(judge, [parse_messages(judge, messages)], probabilities=request.activated)
    else:
        rows = await parse_rows(judge, input_rows(request.input))
        outputs = await compute_outputs(judge, rows, probabilities=request.activated)
    check_token_limit([output.tokens_read for output in outputs], request.truncate_prompt_tokens)
    return outputs


def check_model_name(judge: JudgeService, model: str | None) -> None:
    """Refuse a request for another model.

    Raises:
        UnknownModelError: the name is not that of the served model.
    """
    if model not in (None, "", judge.name):
        raise UnknownModelError(judge.name)


def check_token_limit(tokens_read: Sequence[int], limit: int | None) -> None:
    """Refuse texts that vLLM would truncate.

    Args:
        tokens_read: of each text.
        limit: the request's `truncate_prompt_tokens`; -1 stands for the judge's own limit.

    Raises:
        InvalidRequestError: a text has more tokens.
    """
    longest = max(tokens_read)
    if limit is not None and 0 <= limit < longest:
        raise InvalidRequestError(
            f"A text has {longest:,} tokens, but truncate_prompt_tokens is {limit:,}, and the judge truncates only at "
            "its own limit. Leave truncate_prompt_tokens out, or send shorter texts."
        )


def usage_for(outputs: Sequence[TextOutput] | Sequence[AnswerReward]) -> Usage:
    """The tokens read for texts or answers."""
    tokens = sum(output.tokens_read for output in outputs)
    return Usage(prompt_tokens=tokens, total_tokens=tokens)


def new_id(prefix: str) -> str:
    """A unique id for a response."""
    return f"{prefix}-{uuid4().hex}"
