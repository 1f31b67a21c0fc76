"""Files of prompts with lists of answers, or with one answer per row."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from tiebreak.data import Candidates, CandidatesFile, read_candidates
from tiebreak.errors import DataError

from .votefiles import write_csv, write_jsonl, write_parquet

ROWS = [
    {"id": "x", "prompt": "1 + 1 = ?", "responses": ["2", "3", "11"]},
    {"id": None, "prompt": 'say ["a"]', "responses": ['["a"]', "b"]},
]
READ = (
    Candidates("x", ("1 + 1 = ?",), (("2",), ("3",), ("11",))),
    Candidates("1", ('say ["a"]',), (('["a"]',), ("b",))),
)


@pytest.mark.parametrize("ending", ["jsonl", "parquet", "csv"])
def test_a_list_of_answers_is_read_from_every_format(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"candidates.{ending}"
    frame = pd.DataFrame(ROWS)
    if ending == "parquet":
        frame.to_parquet(path)
    elif ending == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    else:
        frame.assign(responses=[json.dumps(row["responses"]) for row in ROWS]).to_csv(path, index=False)
    assert read_candidates(path) == CandidatesFile(READ, listed=True)


def test_turns_of_prompt_and_answers(tmp_path: Path) -> None:
    path = tmp_path / "turns.jsonl"
    path.write_text(json.dumps({"prompt": ["hi", "why?"], "responses": [["hello", "so"], ["hello", None]]}) + "\n")
    [row] = read_candidates(path).rows
    assert row == Candidates("0", ("hi", "why?"), (("hello", "so"), ("hello", "")))


def test_one_answer_per_row_is_read_from_every_format(tmp_path: Path) -> None:
    rows = [{"id": "x", "prompt": "1 + 1 = ?", "response": "2"}, {"id": None, "prompt": "Say nothing", "response": ""}]
    expected = (Candidates("x", ("1 + 1 = ?",), (("2",),)), Candidates("1", ("Say nothing",), (("",),)))
    for path in (
        write_csv(tmp_path / "v.csv", rows, list(rows[0])),
        write_jsonl(tmp_path / "v.jsonl", rows),
        write_parquet(tmp_path / "v.parquet", rows),
    ):
        assert read_candidates(path) == CandidatesFile(expected, listed=False)


@pytest.mark.parametrize(
    ("prompt", "response", "turns"),
    [
        (["p", "q"], ["a", None], (("p", "q"), ("a", ""))),
        ('["p", "q"]', '["a", "b"]', (("p", "q"), ("a", "b"))),
        ('["p"]', "plain", (("p",), ("plain",))),
        ("Names, as JSON", '["Al"]', (("Names, as JSON",), ('["Al"]',))),
        (["p", "q"], "", (("p", "q"), ("", ""))),
        ("", ["a", "b"], (("", ""), ("a", "b"))),
        ("p", " \n", (("p",), (" \n",))),
        ("", "", (("",), ("",))),
        ("a\0", "\ud800", (("a\ufffd",), ("\ufffd",))),
    ],
)
def test_turns_of_one_answer_are_distinguished_from_plain_text(
    tmp_path: Path, prompt: object, response: object, turns: tuple[tuple[str, ...], tuple[str, ...]]
) -> None:
    [row] = read_candidates(write_jsonl(tmp_path / "v.jsonl", [{"prompt": prompt, "response": response}])).rows
    assert (row.prompt, *row.answers) == turns


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"prompt": "p", "responses": []}, "line 1: responses is an empty list: give at least one answer"),
        ({"prompt": "p", "responses": "a"}, "line 1: responses is 'a': give a list of answers"),
        ({"prompt": "p", "responses": "[1, "}, "line 1: responses is not a JSON list of answers"),
        ({"prompt": "p", "responses": ["a", 3]}, "line 1: responses[1] is 3, neither text nor a list of turns"),
        ({"prompt": None, "responses": ["a"]}, "line 1: prompt is missing"),
        ({"prompt": ["p", "q"], "responses": ["a"]}, "line 1: responses[0] has 1 turn and the prompt 2: give as many"),
        (
            {"prompt": "p", "answers": ["a"]},
            "has no column 'responses' or 'response'. A file to score",
        ),
        ({"responses": ["a"]}, "has no column 'prompt'"),
        ({"response": "a"}, "has no column 'prompt'. A file to score has prompt and responses (a list of answers) or"),
        ({"prompt": "p", "responses": ["a"], "response": "a"}, "'responses' and 'response': keep one, responses (a"),
        ({"prompt": "p", "response": None}, "line 1: response is missing"),
        ({"prompt": None, "response": "a"}, "line 1: prompt is missing"),
        ({"prompt": "p", "response": 3}, "line 1: response is 3, neither text nor a list of turns"),
        ({"prompt": "p", "response": []}, "line 1: response is a list of no turns"),
        ({"prompt": "p", "response": ["a", "b"]}, "line 1: response has 2 turns and the prompt 1: give as many"),
        ({"prompt": ["p", "q"], "response": "a"}, "line 1: response has 1 turn and the prompt 2: give as many"),
        ({"prompt": '["p"]', "response": '["a" 1]'}, "line 1: response is not a JSON list of turns: Expecting"),
    ],
)
def test_rows_that_cannot_be_scored_are_listed(tmp_path: Path, row: object, message: str) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text(json.dumps(row) + "\n")
    with pytest.raises(DataError) as error:
        read_candidates(path)
    assert message in str(error.value)


def test_a_file_without_rows_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "none.csv"
    path.write_text("prompt,responses\n")
    with pytest.raises(DataError, match="has no rows: there is nothing to score"):
        read_candidates(path)


CHAT = [
    {"role": "system", "content": "S"},
    {"role": "user", "content": "hi"},
    {"role": "assistant", "content": "hello"},
    {"role": "user", "content": "why?"},
]


def test_prompts_of_messages(tmp_path: Path) -> None:
    row = {"prompt": CHAT, "responses": ["so", [{"role": "assistant", "content": "no"}], None]}
    expected = Candidates("0", ("S\n\nhi", "why?"), (("hello", "so"), ("hello", "no"), ("hello", "")), "S")
    assert read_candidates(write_jsonl(tmp_path / "a.jsonl", [row])).rows == (expected,)
    single = {"prompt": CHAT, "response": "so"}
    for path in (
        write_jsonl(tmp_path / "b.jsonl", [single]),
        write_parquet(tmp_path / "b.parquet", [single]),
    ):
        assert read_candidates(path) == CandidatesFile(
            (Candidates("0", ("S\n\nhi", "why?"), (("hello", "so"),), "S"),), listed=False
        )


@pytest.mark.parametrize(
    ("prompt", "answer", "reason"),
    [
        (CHAT[:3], "so", "the roles are"),
        (CHAT, [{"role": "user", "content": "x"}], "does not contain the column prompt"),
        (CHAT, [], "is a list of no messages"),
        (CHAT, 7, "neither text nor a list of messages"),
        ([*CHAT, "x"], "so", "as message 5"),
    ],
)
def test_unclear_messages_are_refused(tmp_path: Path, prompt: object, answer: object, reason: str) -> None:
    path = write_jsonl(tmp_path / "a.jsonl", [{"prompt": prompt, "responses": [answer]}])
    with pytest.raises(DataError, match=reason):
        read_candidates(path)


def test_a_conversation_ends_in_the_answer(tmp_path: Path) -> None:
    messages = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "1 + 1 = ?"}]},
        {"role": "assistant", "content": "2"},
    ]
    file = read_candidates(write_jsonl(tmp_path / "v.jsonl", [{"messages": messages}]))
    assert file == CandidatesFile((Candidates("0", ("Be brief.\n\n1 + 1 = ?",), (("2",),), "Be brief."),), listed=False)


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "p", "chosen": "a", "rejected": "b", "margin": 2},
        {"prompt": "p", "response_a": "a", "response_b": "b", "winner": "model_b"},
        {"prompt": ["p"], "response_a": ["a"], "response_b": ["b"]},
        {"prompt": "p", "response_1": "a", "response_2": "b", "preference_strength": 3},
        {"chosen": "\n\nHuman: p\n\nAssistant: a", "rejected": "\n\nHuman: p\n\nAssistant: b"},
        {
            "messages": [{"role": "user", "content": "p"}, {"role": "assistant", "content": "a"}],
            "rejected_response": "b",
        },
    ],
)
def test_both_answers_of_votes_are_scored_in_the_order_of_the_columns(tmp_path: Path, row: dict[str, object]) -> None:
    file = read_candidates(write_jsonl(tmp_path / "v.jsonl", [row] * 3))
    assert file == CandidatesFile(tuple(Candidates(str(i), ("p",), (("a",), ("b",))) for i in range(3)), listed=True)


def test_a_system_column_is_read(tmp_path: Path) -> None:
    rows = [{"prompt": "p", "responses": ["a", "b"], "system": "S"}]
    assert read_candidates(write_jsonl(tmp_path / "v.jsonl", rows)).rows == (
        Candidates("0", ("S\n\np",), (("a",), ("b",)), "S"),
    )
