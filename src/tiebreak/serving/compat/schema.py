"""Fields that requests of several dialects have."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr, ValidationError, WrapValidator
from pydantic_core import PydanticCustomError

CHAT: Final = "<start_of_turn>user\n1 + 1 = ?<end_of_turn>\n<start_of_turn>model\n2<end_of_turn>\n"
"""A rendered chat, for examples."""


class Request(BaseModel):
    """Fields that are not known are not looked at: clients send many."""

    model_config = ConfigDict(extra="ignore")


def explained(message: str) -> WrapValidator:
    """One sentence for what is none of several types, in the place of one for each."""

    def validate(value: Any, handler: Callable[[Any], Any]) -> Any:
        try:
            return handler(value)
        except ValidationError:
            raise PydanticCustomError("not_this", "{message}", {"message": message}) from None

    return WrapValidator(validate)


TokenId = Annotated[StrictInt, Field(ge=0, lt=2**31)]
Ids = Annotated[list[TokenId], Field(min_length=1)]
ModelName = Annotated[StrictStr | None, Field(description="The name of what is served, or nothing.")]
Input = Annotated[
    StrictStr
    | Annotated[list[StrictStr], Field(min_length=1)]
    | Ids
    | Annotated[list[Ids], Field(min_length=1)],
    explained("give a text, a list of texts, token ids, or lists of token ids; none of them empty"),
    Field(
        description="Rendered texts: each a chat in a known format that ends in the assistant's reply, or in the "
        "judge's own template, with any number of BOS in front or none; or the judge's own token ids of such texts."
    ),
]  # fmt: skip


def rows_of(given: str | Sequence[Any]) -> list[str | list[int]]:
    """The texts or token ids in an `Input`."""
    if isinstance(given, str) or isinstance(given[0], int):
        return [given]  # type: ignore[list-item]  # one text, or the ids of one
    return list(given)
