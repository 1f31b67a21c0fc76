"""SGLang's `/classify` of a reward model: the head's outputs, an object for one text and a list for several."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, Field, StrictStr, model_validator

from tiebreak.serving.compat.inputs import (
    EXAMPLE_CHAT,
    CompatRequest,
    ModelName,
    TokenIds,
    input_rows,
    one_error,
    parse_rows,
)
from tiebreak.serving.compat.outputs import compute_outputs

if TYPE_CHECKING:
    from tiebreak.serving.judge_service import JudgeService


class SglangRequest(CompatRequest):
    """Rendered texts, or token ids. The model's name is ignored, as SGLang does."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"text": [EXAMPLE_CHAT]}]})

    model: ModelName = None
    text: Annotated[
        StrictStr | Annotated[list[StrictStr], Field(min_length=1)] | None,
        one_error("give a text, or a list of texts"),
    ] = None
    input_ids: Annotated[
        TokenIds | Annotated[list[TokenIds], Field(min_length=1)] | None,
        one_error("give token ids, or lists of token ids"),
    ] = None

    @model_validator(mode="after")
    def _check_one_input(self) -> SglangRequest:
        if (self.text is None) == (self.input_ids is None):
            raise ValueError("give either text or input_ids")
        return self


class SglangResult(BaseModel):
    """The head's outputs for a text."""

    embedding: list[float] = Field(description="The reward; or logits over (A, B, tie).")
    meta_info: dict[str, Any]


async def sglang_classify(judge: JudgeService, request: SglangRequest) -> SglangResult | list[SglangResult]:
    """Answer `/classify`."""
    content = request.input_ids if request.text is None else request.text
    assert content is not None
    rows = await parse_rows(judge, input_rows(content))
    results = [
        SglangResult(
            embedding=list(output.values),
            meta_info={"id": uuid4().hex, "prompt_tokens": output.tokens_read, "finish_reason": None},
        )
        for output in await compute_outputs(judge, rows, probabilities=False)
    ]
    is_single = isinstance(content, str) or isinstance(content[0], int)
    return results[0] if is_single else results
