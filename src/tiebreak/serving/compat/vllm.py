"""vLLM's `/classify` and `/pooling`: texts, token ids or messages in, the head's outputs out; and its list of models.

The answers are those vLLM gives for an exported folder, calibration aside: three probabilities, or the reward as it is,
since exports say `problem_type: regression`; with `use_activation: false` logits, or the same reward. verl reads the
last of the last text.
"""

from __future__ import annotations

from time import time
from typing import TYPE_CHECKING, Annotated, Any, Literal
from uuid import uuid4

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Discriminator, Field, StrictBool, StrictInt, StrictStr, Tag

from tiebreak.serving.compat.errors import VllmError, refusals
from tiebreak.serving.compat.input_parsing import parse_messages_input, parse_text
from tiebreak.serving.compat.outputs import Judged, labels, outputs_of
from tiebreak.serving.compat.schema import CHAT, Input, ModelName, Request, rows_of
from tiebreak.serving.errors import InvalidRequestError, UnknownModelError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tiebreak.serving.judge_service import JudgeService

TAG = "vLLM"


class VllmRequest(Request):
    """What all of vLLM's requests of this kind have."""

    model: ModelName = None
    truncate_prompt_tokens: Annotated[StrictInt, Field(ge=-1)] | None = Field(
        None,
        description="What is longer than the judge reads is cut in the way it was trained with, and nothing else is: "
        "a text of more tokens than this is refused, where vLLM would leave it only its last ones.",
    )
    use_activation: StrictBool | None = Field(
        None, description="Probabilities; false for logits. A reward is the same with both."
    )
    activation: StrictBool | None = Field(None, description="use_activation as vLLM called it before 0.11.2.")
    softmax: StrictBool | None = Field(None, description="The same, before that.")

    @property
    def activated(self) -> bool:
        """By whichever of its names it was said."""
        said = (self.use_activation, self.activation, self.softmax)
        return next((one for one in said if one is not None), True)


class TextPart(BaseModel):
    """A text in a list of contents."""

    type: Literal["text"]
    text: StrictStr


class ChatMessage(BaseModel):
    """Something that was said."""

    role: StrictStr
    content: StrictStr | list[TextPart]

    @property
    def text(self) -> str:
        """Its content as one text."""
        return self.content if isinstance(self.content, str) else "\n".join(part.text for part in self.content)


class InputRequest(VllmRequest):
    """Rendered texts."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"input": [CHAT]}]})

    input: Input


class MessagesRequest(VllmRequest):
    """A conversation that ends in the assistant's message; for a judge of pairs in response_a's and response_b's."""

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


class Pooled(VllmRequest):
    """What `/pooling` knows besides."""

    encoding_format: Literal["float"] = "float"
    task: Literal["classify", "score", "encode", "reward"] | None = None


class PoolingInputRequest(InputRequest, Pooled):
    """Rendered texts."""


class PoolingMessagesRequest(MessagesRequest, Pooled):
    """A conversation, as for `/classify`."""


class Usage(BaseModel):
    """Tokens that were read."""

    prompt_tokens: int
    total_tokens: int
    completion_tokens: int = 0
    prompt_tokens_details: None = None


class Classification(BaseModel):
    """What the head gives for a text."""

    index: int
    label: str = Field(description="The likeliest of the three; or `reward`.")
    probs: list[float] = Field(description="Over (A, B, tie); or the reward alone.")
    num_classes: int


class ClassifyResponse(BaseModel):
    """What the head gives for each text, in their order."""

    id: str
    object: Literal["list"] = "list"
    created: int
    model: str
    data: list[Classification]
    usage: Usage


class PoolingData(BaseModel):
    """What the head gives for a text."""

    index: int
    object: Literal["pooling"] = "pooling"
    data: list[float]


class PoolingResponse(BaseModel):
    """What the head gives for each text, in their order."""

    id: str
    object: Literal["list"] = "list"
    created: int
    model: str
    data: list[PoolingData]
    usage: Usage


class ModelCard(BaseModel):
    """What is served."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: Literal["tiebreak"] = "tiebreak"
    root: str
    parent: None = None
    max_model_len: int | None = Field(description="Tokens of a text that the judge reads.")


class ModelList(BaseModel):
    """All that is served: one."""

    object: Literal["list"] = "list"
    data: list[ModelCard]


def _kind(body: Any) -> str:
    return "messages" if isinstance(body, dict) and "messages" in body else "input"


ClassifyRequest = Annotated[
    Annotated[InputRequest, Tag("input")] | Annotated[MessagesRequest, Tag("messages")], Discriminator(_kind)
]
PoolingRequest = Annotated[
    Annotated[PoolingInputRequest, Tag("input")] | Annotated[PoolingMessagesRequest, Tag("messages")],
    Discriminator(_kind),
]


def vllm_routes(judge: JudgeService) -> APIRouter:
    """The paths that are vLLM's alone, but for scores and rankings."""
    routes = APIRouter(tags=[TAG], responses=refusals(VllmError))
    started = int(time())

    @routes.post("/v1/classify", summary="What the head gives for texts")
    async def classify_texts(request: ClassifyRequest) -> ClassifyResponse:
        return await classify(judge, request)

    @routes.post("/pooling", summary="What the head gives for texts, as numbers alone")
    async def pooling(request: PoolingRequest) -> PoolingResponse:
        found = await _judged(judge, request)
        data = [PoolingData(index=i, data=list(one.outputs)) for i, one in enumerate(found)]
        return PoolingResponse(
            id=new_id("pool"), created=int(time()), model=judge.name, data=data, usage=usage_for(found)
        )

    @routes.get("/v1/models", summary="The model that is served, by its name")
    async def models() -> ModelList:
        longest = judge.reads.max_length if judge.reads else None
        return ModelList(data=[ModelCard(id=judge.name, created=started, root=judge.name, max_model_len=longest)])

    return routes


async def classify(judge: JudgeService, request: InputRequest | MessagesRequest) -> ClassifyResponse:
    """Answer `/classify`."""
    found = await _judged(judge, request)
    names = labels(judge)
    data = [
        Classification(
            index=i,
            label=names[max(range(len(names)), key=one.outputs.__getitem__)],
            probs=list(one.outputs),
            num_classes=len(names),
        )
        for i, one in enumerate(found)
    ]
    return ClassifyResponse(
        id=new_id("classify"), created=int(time()), model=judge.name, data=data, usage=usage_for(found)
    )


async def _judged(judge: JudgeService, request: InputRequest | MessagesRequest) -> list[Judged]:
    require_served(judge, request.model)
    if isinstance(request, MessagesRequest):
        said = [parse_messages_input(judge, [(message.role, message.text) for message in request.messages])]
        found = await outputs_of(judge, said, probabilities=request.activated)
    else:
        rows = [parse_text(judge, row) if isinstance(row, str) else row for row in rows_of(request.input)]
        found = await outputs_of(judge, rows, probabilities=request.activated)
    require_short(found, request.truncate_prompt_tokens)
    return found


def require_served(judge: JudgeService, model: str | None) -> None:
    """Refuse what is meant for another model.

    Raises:
        UnknownModelError: the request names another.
    """
    if model not in (None, "", judge.name):
        raise UnknownModelError(judge.name)


def require_short(found: Sequence[Judged], most: int | None) -> None:
    """Refuse texts that vLLM would have cut; -1 stands for what the judge reads.

    Raises:
        InvalidRequestError: a text has more tokens.
    """
    longest = max(one.tokens_read for one in found)
    if most is not None and 0 <= most < longest:
        raise InvalidRequestError(
            f"A text has {longest:,} tokens, and truncate_prompt_tokens is {most:,}: the judge cuts what is longer "
            "than it reads, and nothing else. Leave truncate_prompt_tokens out, or send shorter texts."
        )


def usage_for(found: Sequence[Judged]) -> Usage:
    """The tokens of texts."""
    tokens = sum(one.tokens_read for one in found)
    return Usage(prompt_tokens=tokens, total_tokens=tokens)


def new_id(prefix: str) -> str:
    """The name of an answer."""
    return f"{prefix}-{uuid4().hex}"
