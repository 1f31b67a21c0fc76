"""Requests and responses of Tiebreak's own API. Its OpenAPI description is made from them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictStr, model_validator

from tiebreak.data import UnreadableError
from tiebreak.data.message_content import read_message
from tiebreak.serving.errors import unreadable_error
from tiebreak.types import Outcome


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ContentPart(BaseModel):
    """A part of a message: `{"type": "text", "text": ...}`. Images and other media are refused."""

    model_config = ConfigDict(extra="allow")

    type: StrictStr = "text"
    text: StrictStr | None = None


class ChatMessage(BaseModel):
    """A message of a conversation, as chat APIs have it."""

    role: StrictStr
    content: StrictStr | list[ContentPart] | None = Field(description="A text, or a list of parts that are texts.")
    tool_calls: list[dict[str, Any]] | None = Field(
        None, description="The assistant's tool calls, in a prompt; an answer is a text."
    )

    def read(self, name: str, number: int) -> tuple[str, str]:
        """Its role and text, as `tiebreak.data.message_content.read_message` gives them.

        Args:
            name: of the field, for error messages.
            number: of the message, counted from 1.

        Raises:
            InvalidRequestError: it is not text.
        """
        try:
            return read_message(name, number, self.model_dump(exclude_none=True))
        except UnreadableError as error:
            raise unreadable_error(name, error) from error


class Message(ChatMessage):
    """A message of a conversation, as chat APIs have it."""

    model_config = ConfigDict(extra="forbid")

    role: Literal["system", "developer", "user", "assistant", "tool"]
    tool_call_id: StrictStr | None = Field(None, description="Of a tool's result; ignored.")
    name: StrictStr | None = Field(None, description="Ignored.")

    @model_validator(mode="before")
    @classmethod
    def _drop_empty_fields(cls, value: Any) -> Any:
        """The message without fields that hold nothing: clients send back `refusal: null` and others."""
        if not isinstance(value, dict):
            return value
        return {name: item for name, item in value.items() if name in cls.model_fields or item not in (None, [])}


Turn = StrictStr
Prompt = Annotated[
    Turn | Annotated[list[Turn], Field(min_length=1)] | Annotated[list[Message], Field(min_length=1)],
    Field(
        description="A text; or the user's turns of a conversation, in order; or its messages up to the last one of "
        "the user. An empty text, if the answers are whole conversations."
    ),
]
Answer = Annotated[
    Turn | Annotated[list[Turn], Field(min_length=1)] | Annotated[list[Message], Field(min_length=1)],
    Field(
        description="A text; or, if the prompt is a list of turns, one reply per turn; or messages, the last reply "
        "alone or the whole conversation."
    ),
]
System = Annotated[
    StrictStr,
    Field(description="A system message before the prompt; a list of messages may begin with it instead."),
]
Swap = Annotated[
    Literal["none", "average"],
    Field(
        description="`average` judges both orders of the answers and takes the mean, which removes position bias; "
        "`none` judges the given order, in half the time. The order makes no difference to a reward model."
    ),
]
Truncate = Annotated[
    StrictBool, Field(description="Truncate texts over the judge's limit, and report it; false refuses them.")
]


class Pair(_Request):
    """A prompt and two answers to it."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"prompt": "1 + 1 = ?", "answers": ["2", "The answer is 3."]}]}
    )

    prompt: Prompt
    answers: Annotated[list[Answer], Field(min_length=2, max_length=2)]
    system: System = ""


class CompareRequest(Pair):
    """A prompt and two answers to compare."""

    swap: Swap = "average"
    truncate: Truncate = True


class CompareManyRequest(_Request):
    """Any number of comparisons, judged together."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"comparisons": [{"prompt": "1 + 1 = ?", "answers": ["2", "3"]}], "swap": "average"}]
        }
    )

    comparisons: Annotated[list[Pair], Field(min_length=1)]
    swap: Swap = "average"
    truncate: Truncate = True


class Probabilities(BaseModel):
    """The probabilities that people prefer A, prefer B, or call it a tie."""

    model_a: float
    model_b: float
    tie: float


class Orders(BaseModel):
    """The probabilities from each order. A is the first answer of the request in both."""

    as_given: Probabilities
    swapped: Probabilities


class CompareResponse(BaseModel):
    """A verdict on two answers."""

    verdict: Outcome = Field(description="The most likely outcome.")
    probabilities: Probabilities
    orders: Orders | None = Field(description="The probabilities from each order; null if only one was judged.")
    disagreement: float | None = Field(
        description="The total variation distance between the two orders, from 0 to 1: how much the order of the "
        "answers matters to the judge."
    )
    rewards: tuple[float, float] | None = Field(
        description="The reward of each answer, in nats; null from a pairwise judge."
    )
    calibrated: bool
    tokens_read: int
    tokens_lost: int = Field(description="Tokens removed by truncation.")


class CompareManyResponse(BaseModel):
    """Verdicts in the order of the comparisons."""

    verdicts: list[CompareResponse]


class Candidate(_Request):
    """A prompt and one answer to it."""

    prompt: Prompt
    answer: Answer
    system: System = ""


class ScoreRequest(Candidate):
    """A prompt and one answer to score."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"prompt": "1 + 1 = ?", "answer": "2"}]})

    truncate: Truncate = True


class ScoreManyRequest(_Request):
    """Any number of answers, scored together; a prompt that several share is computed once."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"conversations": [{"prompt": "1 + 1 = ?", "answer": "2"}]}]}
    )

    conversations: Annotated[list[Candidate], Field(min_length=1)]
    truncate: Truncate = True


class ScoreResponse(BaseModel):
    """The score of one answer."""

    reward: float = Field(
        description="In nats: an answer with a reward higher by 1 than another's wins e times as often as it loses."
    )
    normalised: float = Field(description="In standard deviations around the mean of the validation's answers.")
    tokens_read: int
    tokens_lost: int


class ScoreManyResponse(BaseModel):
    """Scores in the order of the answers."""

    scores: list[ScoreResponse]


class RankRequest(_Request):
    """A prompt and any number of answers to it."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"prompt": "1 + 1 = ?", "answers": ["3", "2", "The answer is 11."]}]}
    )

    prompt: Prompt
    answers: Annotated[list[Answer], Field(min_length=1)]
    system: System = ""
    swap: Swap = "average"
    truncate: Truncate = True


class Ranked(BaseModel):
    """An answer and its rank."""

    index: int = Field(description="The answer's position in the request, from 0.")
    rank: int = Field(description="1 for the best. Equal answers share a rank, and the next rank is skipped.")
    reward: float
    normalised: float | None = Field(description="As in a score; null from a pairwise judge.")


class RankResponse(BaseModel):
    """Answers from best to worst."""

    best: int = Field(description="The index of the best answer.")
    ranking: list[Ranked]
    comparisons: int = Field(description="Pairs that were judged; 0 from a reward model.")
    tokens_lost: int


class LimitsResponse(BaseModel):
    """The server's limits."""

    body_bytes: int
    texts: int = Field(description="Texts of one request: two for a comparison in both orders, else one.")
    tokens: int | None = Field(description="Tokens of one text; null from a judge that counts none.")
    queue: int = Field(description="Texts that may be queued; further requests get status 429.")
    seconds: float = Field(description="Time limit of a request; after it the status is 504.")


class VerdictResponse(BaseModel):
    """How the judge compares with guesses and baselines on the run's validation rows."""

    usable: bool = Field(description="Whether it is better than the shares of the votes, with 95 % confidence.")
    headline: str
    remedy: str = Field(description="What to do; empty if it is better than all baselines.")


class ModelResponse(BaseModel):
    """The served judge."""

    name: str
    tiebreak: str = Field(description="The server's version.")
    kind: Literal["pairwise", "pointwise", "classical", "blend"]
    gives_rewards: bool = Field(description="Whether it scores single answers (POST /v1/score).")
    base_model: str | None
    calibration: str | None = Field(description="The calibration map of its probabilities.")
    metrics: dict[str, Any] | None = Field(description="Validation metrics, as in the run's metrics.json.")
    verdict: VerdictResponse | None = Field(None, description="Whether it is better than guessing and than baselines.")
    recipe: dict[str, Any] | None = Field(description="The recipe it was trained with, without file paths.")
    limits: LimitsResponse
