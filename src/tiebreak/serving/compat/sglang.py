"""SGLang's `/classify` of a reward model: the head's outputs, an object for one text, a list for several."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, Field, StrictStr, model_validator

from tiebreak.serving.compat.input_parsing import parse_text
from tiebreak.serving.compat.outputs import outputs_of
from tiebreak.serving.compat.schema import CHAT, Ids, ModelName, Request, explained, rows_of

if TYPE_CHECKING:
    from tiebreak.serving.judge_service import JudgeService


class SglangRequest(Request):
    """Rendered texts, or token ids; of its model's name SGLang makes nothing, and neither is it looked at here."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"text": [CHAT]}]})

    model: ModelName = None
    text: Annotated[
        StrictStr | Annotated[list[StrictStr], Field(min_length=1)] | None,
        explained("give a text, or a list of texts"),
    ] = None
    input_ids: Annotated[
        Ids | Annotated[list[Ids], Field(min_length=1)] | None,
        explained("give token ids, or lists of token ids"),
    ] = None

    @model_validator(mode="after")
    def _one_of_both(self) -> SglangRequest:
        if (self.text is None) == (self.input_ids is None):
            raise ValueError("give either text or input_ids")
        return self


class SglangResult(BaseModel):
    """What the head gives for a text."""

    embedding: list[float] = Field(description="The reward; or logits over (A, B, tie).")
    meta_info: dict[str, Any]


async def sglang_classify(judge: JudgeService, request: SglangRequest) -> SglangResult | list[SglangResult]:
    """Answer `/classify`."""
    given = request.input_ids if request.text is None else request.text
    assert given is not None
    rows = [parse_text(judge, row) if isinstance(row, str) else row for row in rows_of(given)]
    results = [
        SglangResult(
            embedding=list(one.outputs),
            meta_info={"id": uuid4().hex, "prompt_tokens": one.tokens_read, "finish_reason": None},
        )
        for one in await outputs_of(judge, rows, probabilities=False)
    ]
    alone = isinstance(given, str) or isinstance(given[0], int)
    return results[0] if alone else results
