"""Two answers and numbers that say which is better: PKU-SafeRLHF, SHP, summarize-from-feedback, WebGPT."""

from __future__ import annotations

from typing import Final

from tiebreak.data.cells import is_blank
from tiebreak.data.converters.converter import (
    WINNERS,
    Cells,
    Converter,
    pick,
    read_list,
    read_number,
    read_object,
    read_position,
    reply,
    user,
)
from tiebreak.data.issues import UnreadableError
from tiebreak.formatting import pluralize


def _convert_pku(cells: Cells, _: str) -> list[Cells]:
    return [
        {
            **pick(cells, source="prompt_source", model_a="response_0_source", model_b="response_1_source"),
            "prompt": user(cells.get("prompt")),
            "response_a": reply(cells.get("response_0")),
            "response_b": reply(cells.get("response_1")),
            "winner": read_position("better_response_id", cells.get("better_response_id")),
        }
    ]


def _convert_shp(cells: Cells, _: str) -> list[Cells]:
    return [
        {
            **pick(cells, source="domain"),
            "prompt": user(cells.get("history")),
            "response_a": reply(cells.get("human_ref_A")),
            "response_b": reply(cells.get("human_ref_B")),
            "winner": read_position("labels", cells.get("labels"), positions=(1, 0)),
        }
    ]


def _convert_summaries(cells: Cells, _: str) -> list[Cells]:
    summaries = [read_object("summaries", summary) for summary in read_list("summaries", cells.get("summaries"))]
    if len(summaries) != 2:
        message = f"has {pluralize(len(summaries), 'text')}: expected two"
        raise UnreadableError("summaries", "not_text", message)
    first, second = summaries
    info = read_object("info", cells.get("info"))
    return [
        {
            **pick(cells, source="batch"),
            "prompt": user(_post(info)),
            "response_a": reply(first.get("text")),
            "response_b": reply(second.get("text")),
            "model_a": first.get("policy"),
            "model_b": second.get("policy"),
            "winner": read_position("choice", cells.get("choice")),
        }
    ]


def _convert_webgpt(cells: Cells, _: str) -> list[Cells]:
    question = read_object("question", cells.get("question"))
    scores = [read_number(name, cells.get(name)) for name in ("score_0", "score_1")]
    winner: str | None = None
    if scores[0] is not None and scores[1] is not None:
        winner = "tie" if scores[0] == scores[1] else WINNERS[scores[1] > scores[0]]
    return [
        {
            "prompt": user(question.get("full_text")),
            "response_a": reply(cells.get("answer_0")),
            "response_b": reply(cells.get("answer_1")),
            "source": question.get("dataset"),
            "winner": winner,
        }
    ]


def _post(info: dict[str, object]) -> str:
    """The text that was summarised, as Stiennon et al. 2020 (arXiv:2009.01325, appendix B.2) gave it to the models."""
    article = info.get("article")
    if not is_blank(article):
        return f"{article}\n\nTL;DR:"
    lines = {"SUBREDDIT": info.get("subreddit"), "TITLE": info.get("title"), "POST": info.get("post")}
    if is_blank(lines["POST"]):
        raise UnreadableError("info", "missing_prompt", "has neither a post nor an article")
    lines["SUBREDDIT"] = None if is_blank(lines["SUBREDDIT"]) else f"r/{lines['SUBREDDIT']}"
    return "\n".join(f"{name}: {text}" for name, text in lines.items() if not is_blank(text)) + "\n\nTL;DR:"


PKU_SAFERLHF: Final = Converter(
    name="pku-saferlhf",
    title="PKU-SafeRLHF",
    required=frozenset({"prompt", "response_0", "response_1", "better_response_id"}),
    reads={
        "prompt": "prompt",
        "response_a": "response_0",
        "response_b": "response_1",
        "winner": "better_response_id",
        "source": "prompt_source",
        "model_a": "response_0_source",
        "model_b": "response_1_source",
    },
    more=frozenset({"safer_response_id"}),
    votes="0: response_a is better; 1: response_b is better (winner=safer_response_id takes the safer one instead)",
    convert=_convert_pku,
)
SHP: Final = Converter(
    name="shp",
    title="Stanford Human Preferences",
    required=frozenset({"history", "human_ref_A", "human_ref_B", "labels"}),
    reads={
        "prompt": "history",
        "response_a": "human_ref_A",
        "response_b": "human_ref_B",
        "winner": "labels",
        "source": "domain",
    },
    votes="1: response_a is better; 0: response_b is better",
    convert=_convert_shp,
)
SUMMARIES: Final = Converter(
    name="summarize-from-feedback",
    title="OpenAI summarize from feedback, comparisons",
    required=frozenset({"info", "summaries", "choice"}),
    reads={
        "prompt": "info",
        "response_a": "summaries",
        "response_b": "summaries",
        "model_a": "summaries",
        "model_b": "summaries",
        "winner": "choice",
        "source": "batch",
    },
    votes="0: response_a, the first summary, is better; 1: response_b is better",
    convert=_convert_summaries,
)
WEBGPT: Final = Converter(
    name="webgpt",
    title="WebGPT, comparisons",
    required=frozenset({"question", "answer_0", "answer_1", "score_0", "score_1"}),
    reads={
        "prompt": "question",
        "response_a": "answer_0",
        "response_b": "answer_1",
        "winner": "score_0",
        "source": "question",
    },
    votes="the answer with the higher of score_0 and score_1 is better; equal scores tie",
    computed=frozenset({"winner"}),
    convert=_convert_webgpt,
)
