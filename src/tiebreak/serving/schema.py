"""What the server's own API takes and gives: the source of its OpenAPI."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictStr

from tiebreak.types import Outcome


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Message(BaseModel):
    """Something that was said."""

    model_config = ConfigDict(extra="forbid")

    role: Literal["system", "user", "assistant"]
    content: StrictStr


Turn = StrictStr
Prompt = Annotated[
    Turn | Annotated[list[Turn], Field(min_length=1)] | Annotated[list[Message], Field(min_length=1)],
    Field(
        description="What was asked: a text; or the user's turns of a conversation, in order; or its messages up to "
        "the last of the user."
    ),
]
Answer = Annotated[
    Turn | Annotated[list[Turn], Field(min_length=1)],
    Field(description="An answer: a text; or, where the prompt is a list of turns, one reply a turn."),
]
Swap = Annotated[
    Literal["none", "average"],
    Field(
        description="Judge in both orders and take the mean, so that no answer gains by its place, or as given, in "
        "half the time. A judge that gives rewards says the same in both."
    ),
]
Truncate = Annotated[
    StrictBool, Field(description="Cut what is longer than the judge reads, and say how much; false refuses it.")
]


class Pair(_Request):
    """A prompt and two answers to it."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"prompt": "1 + 1 = ?", "answers": ["2", "The answer is 3."]}]}
    )

    prompt: Prompt
    answers: Annotated[list[Answer], Field(min_length=2, max_length=2)]


class CompareRequest(Pair):
    """A prompt, two answers to it, and how to judge them."""

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
    """How likely people are to prefer A, to prefer B, and to call it a tie."""

    model_a: float
    model_b: float
    tie: float


class Orders(BaseModel):
    """What either order gave; both tell the first answer of the request as A, whichever came first."""

    as_given: Probabilities
    swapped: Probabilities


class CompareResponse(BaseModel):
    """A verdict on two answers."""

    verdict: Outcome = Field(description="The likeliest of the three.")
    probabilities: Probabilities
    orders: Orders | None = Field(description="What either order gave; null where only one was judged.")
    disagreement: float | None = Field(
        description="The total variation distance between the two orders, 0 to 1: how much the judge minds which "
        "answer comes first."
    )
    rewards: tuple[float, float] | None = Field(
        description="The reward of each answer, in nats; null from a judge of pairs."
    )
    calibrated: bool
    tokens_read: int
    tokens_lost: int = Field(description="Tokens that were cut because they are more than the judge reads.")


class CompareManyResponse(BaseModel):
    """Verdicts in the order of the comparisons."""

    verdicts: list[CompareResponse]


class Candidate(_Request):
    """A prompt and one answer to it."""

    prompt: Prompt
    answer: Answer


class ScoreRequest(Candidate):
    """A prompt and one answer to give a reward."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"prompt": "1 + 1 = ?", "answer": "2"}]})

    truncate: Truncate = True


class ScoreManyRequest(_Request):
    """Any number of answers, scored together; prompts that several have are computed once."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"conversations": [{"prompt": "1 + 1 = ?", "answer": "2"}]}]}
    )

    conversations: Annotated[list[Candidate], Field(min_length=1)]
    truncate: Truncate = True


class ScoreResponse(BaseModel):
    """How good one answer is."""

    reward: float = Field(description="In nats: who is higher by 1 wins e times as often as it loses.")
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
    swap: Swap = "average"
    truncate: Truncate = True


class Ranked(BaseModel):
    """An answer and its place."""

    index: int = Field(description="Which of the request's answers, from 0.")
    rank: int = Field(description="1 for the best; equals share a rank, and the next one is left out.")
    reward: float
    normalised: float | None = Field(description="As in a score; null from a judge of pairs.")


class RankResponse(BaseModel):
    """Answers from the best to the worst."""

    best: int = Field(description="Index of the best answer.")
    ranking: list[Ranked]
    comparisons: int = Field(description="Pairs that were judged; 0 from a judge that gives rewards.")
    tokens_lost: int


class LimitsResponse(BaseModel):
    """What the server takes."""

    body_bytes: int
    texts: int = Field(description="Texts a request may have read: two a comparison judged in both orders, else one.")
    tokens: int | None = Field(description="Tokens of a text that the judge reads; null where it counts none.")
    queue: int = Field(description="Texts that may wait; beyond them requests are refused with status 429.")
    seconds: float = Field(description="After which a request is given up.")


class ModelResponse(BaseModel):
    """What is served."""

    name: str
    tiebreak: str = Field(description="Version.")
    kind: Literal["pairwise", "pointwise", "classical", "blend"]
    gives_rewards: bool = Field(description="Whether it scores a single answer (POST /v1/score).")
    base_model: str | None
    calibration: str | None = Field(description="The map that probabilities go through.")
    metrics: dict[str, Any] | None = Field(description="On the validation's votes, as the run's metrics.json has them.")
    recipe: dict[str, Any] | None = Field(description="What it was trained by.")
    limits: LimitsResponse


class ErrorDetail(BaseModel):
    """What is wrong."""

    message: str
    type: str
    code: int


class ErrorResponse(BaseModel):
    """A refusal, with a reason that can be read."""

    error: ErrorDetail
