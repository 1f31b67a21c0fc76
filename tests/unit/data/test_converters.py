"""Layouts of other projects: what is read from each, and that `convert` writes the same votes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tiebreak.data import from_frame, read_votes, write_comparisons
from tiebreak.data.converters import CONVERTERS
from tiebreak.data.layouts import places_second
from tiebreak.errors import DataError
from tiebreak.types import A_WINS, B_WINS, TIE, Comparison

from .votefiles import write_jsonl

Q, GOOD, BAD = "1 + 1 = ?", "2", "3"
USER = {"role": "user", "content": Q}
SYSTEM = {"role": "system", "content": "Be brief."}


def said(text: object, role: str = "assistant") -> dict[str, object]:
    return {"role": role, "content": text}


def parts(text: str) -> list[dict[str, Any]]:
    return [{"type": "text", "text": text, "image": None, "mimeType": None}]


def preferred(
    prompt: tuple[str, ...] = (Q,), good: tuple[str, ...] = (GOOD,), bad: tuple[str, ...] = (BAD,), **fields: Any
) -> Comparison:
    """A comparison whose sides a hash decides, as of `chosen` and `rejected`."""
    comparison = Comparison(prompt, good, bad, A_WINS, **fields)
    return comparison.swap() if places_second(prompt, good, bad) else comparison


ARENA = {"question_id": "q7", "model_a": "m", "model_b": "n", "winner": "tie (bothbad)", "judge": "j", "turn": 1}
LAYOUTS: dict[str, tuple[str, list[dict[str, Any]], list[Comparison]]] = {
    "arena-33k": (
        "arena",
        [{**ARENA, "conversation_a": [USER, said(GOOD)], "conversation_b": [USER, said(BAD)], "language": "English"}],
        [
            Comparison(
                (Q,), (GOOD,), (BAD,), TIE, "q7",
                tags=(("language", "English"), ("model_a", "m"), ("model_b", "n"), ("tie_kind", "both bad")),
            )
        ],
    ),
    "arena-140k": (
        "arena",
        [
            {
                "id": "7", "model_a": "m", "model_b": "n", "winner": "both_bad", "evaluation_order": 1,
                "conversation_a": [said(parts(Q), "user"), said(parts(GOOD))],
                "conversation_b": [said(parts(Q), "user"), said(parts(BAD))],
            }
        ],
        [
            Comparison(
                (Q,), (GOOD,), (BAD,), TIE, "7",
                tags=(("model_a", "m"), ("model_b", "n"), ("tie_kind", "both bad")),
            )
        ],
    ),
    "mt-bench": (
        "arena",
        [
            {
                "question_id": 81, "judge": f"expert_{turn}", "winner": "model_b", "turn": turn,
                "conversation_a": [USER, said(BAD), said("Sure?", "user"), said("Yes.")],
                "conversation_b": [USER, said(GOOD), said("Sure?", "user"), said("No.")],
            }
            for turn in (1, 2)
        ],
        [
            Comparison((Q,), (BAD,), (GOOD,), B_WINS, "81/0"),
            Comparison((Q, "Sure?"), (BAD, "Yes."), (GOOD, "No."), B_WINS, "81/1"),
        ],
    ),
    "hh-rlhf": (
        "chosen-rejected",
        [{"chosen": f"\n\nHuman: {Q}\n\nAssistant: {GOOD}", "rejected": f"\n\nHuman: {Q}\n\nAssistant: {BAD}"}],
        [preferred(id="0")],
    ),
    "hh-rlhf, turns": (
        "chosen-rejected",
        [
            {
                "chosen": f"\n\nHuman: Hi\n\nAssistant: Hello\n\nHuman: {Q}\n\nAssistant: {GOOD}",
                "rejected": f"\n\nHuman: Hi\n\nAssistant: Hello\n\nHuman: {Q}\n\nAssistant: {BAD}",
            }
        ],
        [preferred(("Hi", Q), ("Hello", GOOD), ("Hello", BAD), id="0")],
    ),
    "full-hh-rlhf": (
        "chosen-rejected",
        [{"prompt": f"\n\nHuman: {Q}\n\nAssistant:", "chosen": GOOD, "rejected": BAD, "response": GOOD}],
        [preferred(id="0")],
    ),
    "hh-rlhf, whole conversations next to a prompt": (
        "chosen-rejected",
        [
            {
                "prompt": f"\n\nHuman: {Q}\n\nAssistant:", "chosen": f"\n\nHuman: {Q}\n\nAssistant: {GOOD}",
                "rejected": f"\n\nHuman: {Q}\n\nAssistant: {BAD}",
            },
            {
                "prompt": f"\n\nHuman: {Q}\n\nAssistant:", "chosen": f"\n\nAssistant: {GOOD}",
                "rejected": f"\n\nAssistant: {BAD}",
            },
        ],
        [preferred(id="0"), preferred(id="1")],
    ),
    "helpsteer2": (
        "helpsteer2",
        [
            {"prompt": Q, "response_1": GOOD, "response_2": BAD, "preference_strength": strength, "split": "train"}
            for strength in (-3, 0, 1)
        ],
        [
            Comparison((Q,), (GOOD,), (BAD,), A_WINS, "0", margin=3.0),
            Comparison((Q,), (GOOD,), (BAD,), TIE, "1"),
            Comparison((Q,), (GOOD,), (BAD,), B_WINS, "2", margin=1.0),
        ],
    ),
    "helpsteer2, turns": (
        "helpsteer2",
        [
            {
                "prompt": f"Hi\n<extra_id_1>Assistant\nHello\n<extra_id_1>User\n{Q}",
                "response_1": BAD, "response_2": GOOD, "preference_strength": 3,
            }
        ],
        [Comparison(("Hi", Q), ("Hello", BAD), ("Hello", GOOD), B_WINS, "0", margin=3.0)],
    ),
    "helpsteer3": (
        "helpsteer3",
        [
            {
                "domain": "code", "language": "python", "context": [SYSTEM, USER], "response1": BAD, "response2": GOOD,
                "overall_preference": 2,
            }
        ],
        [
            Comparison(
                (f"Be brief.\n\n{Q}",), (BAD,), (GOOD,), B_WINS, "0", margin=2.0, system="Be brief.",
                tags=(("language", "python"), ("source", "code")),
            )
        ],
    ),
    "pku-saferlhf": (
        "pku-saferlhf",
        [
            {
                "prompt": Q, "response_0": BAD, "response_1": GOOD, "better_response_id": 1, "safer_response_id": 0,
                "prompt_source": "s", "response_0_source": "m", "response_1_source": "n",
            }
        ],
        [
            Comparison(
                (Q,), (BAD,), (GOOD,), B_WINS, "0",
                tags=(("model_a", "m"), ("model_b", "n"), ("source", "s")),
            )
        ],
    ),
    "shp": (
        "shp",
        [
            {"post_id": "p", "domain": "askbaking", "history": Q, "human_ref_A": GOOD, "human_ref_B": BAD, "labels": 1},
            {"post_id": "p", "domain": "askbaking", "history": Q, "human_ref_A": BAD, "human_ref_B": GOOD, "labels": 0},
        ],
        [
            Comparison((Q,), (GOOD,), (BAD,), A_WINS, "0", tags=(("source", "askbaking"),)),
            Comparison((Q,), (BAD,), (GOOD,), B_WINS, "1", tags=(("source", "askbaking"),)),
        ],
    ),
    "summarize-from-feedback": (
        "summarize-from-feedback",
        [
            {
                "info": {"id": "i", "post": "I fell.", "title": "Oops", "subreddit": "tifu", "article": None},
                "summaries": [{"text": BAD, "policy": "m"}, {"text": GOOD, "policy": "n"}], "choice": 1, "batch": "b",
            },
            {
                "info": {"id": "i", "post": None, "article": "News."},
                "summaries": [{"text": GOOD, "policy": "m"}, {"text": BAD, "policy": "n"}], "choice": 0, "batch": "b",
            },
        ],
        [
            Comparison(
                ("SUBREDDIT: r/tifu\nTITLE: Oops\nPOST: I fell.\n\nTL;DR:",), (BAD,), (GOOD,), B_WINS, "0",
                tags=(("model_a", "m"), ("model_b", "n"), ("source", "b")),
            ),
            Comparison(
                ("News.\n\nTL;DR:",), (GOOD,), (BAD,), A_WINS, "1",
                tags=(("model_a", "m"), ("model_b", "n"), ("source", "b")),
            ),
        ],
    ),
    "orca": (
        "chosen-rejected-question",
        [{"system": "Be brief.", "question": Q, "chosen": GOOD, "rejected": BAD}],
        [preferred((f"Be brief.\n\n{Q}",), id="0", system="Be brief.")],
    ),
    "orca, whole conversations": (
        "chosen-rejected-question",
        [{"system": "Be brief.", "question": Q, "chosen": [USER, said(GOOD)], "rejected": [USER, said(BAD)]}],
        [preferred((f"Be brief.\n\n{Q}",), id="0", system="Be brief.")],
    ),
    "a blank system message": (
        "chosen-rejected",
        [{"chosen": [said(" ", "system"), USER, said(GOOD)], "rejected": [said(" ", "system"), USER, said(BAD)]}],
        [preferred(id="0")],
    ),
    "alpaca": (
        "chosen-rejected-instruction",
        [{"instruction": "Add.", "input": Q, "history": [["Hi", "Hello"]], "chosen": GOOD, "rejected": BAD}],
        [preferred(("Hi", f"Add.\n{Q}"), ("Hello", GOOD), ("Hello", BAD), id="0")],
    ),
    "sharegpt": (
        "chosen-rejected-conversations",
        [
            {
                "conversations": [{"from": "human", "value": Q}], "chosen": {"from": "gpt", "value": GOOD},
                "rejected": {"from": "gpt", "value": BAD}, "system": "Be brief.",
            }
        ],
        [preferred((f"Be brief.\n\n{Q}",), id="0", system="Be brief.")],
    ),
    "llama-factory, messages": (
        "chosen-rejected-messages",
        [{"messages": [USER], "chosen": said(GOOD), "rejected": said(BAD)}],
        [preferred(id="0")],
    ),
    "messages that repeat the chosen conversation": (
        "chosen-rejected-messages",
        [{"messages": [USER, said(GOOD)], "chosen": [USER, said(GOOD)], "rejected": [USER, said(BAD)]}],
        [preferred(id="0")],
    ),
    "ms-swift": (
        "ms-swift",
        [{"messages": [SYSTEM, USER, said(GOOD)], "rejected_response": BAD}],
        [preferred((f"Be brief.\n\n{Q}",), id="0", system="Be brief.")],
    ),
    "ms-swift, rejected messages": (
        "ms-swift",
        [{"messages": [USER, said(GOOD)], "rejected_messages": [USER, said(BAD)]}],
        [preferred(id="0")],
    ),
    "ms-swift, query": (
        "ms-swift-query",
        [{"query": Q, "response": GOOD, "rejected_response": BAD, "history": [["Hi", "Hello"]]}],
        [preferred(("Hi", Q), ("Hello", GOOD), ("Hello", BAD), id="0")],
    ),
    "openai": (
        "openai",
        [
            {
                "input": {"messages": [USER], "tools": [], "parallel_tool_calls": True},
                "preferred_output": [said(GOOD)], "non_preferred_output": [said(BAD)],
            }
        ],
        [preferred(id="0")],
    ),
    "stack-exchange-paired": (
        "stack-exchange-paired",
        [{"qid": 1, "question": Q, "response_j": GOOD, "response_k": BAD}],
        [preferred(id="0")],
    ),
    "alpaca, output": (
        "alpaca-output",
        [{"instruction": "Add.", "input": Q, "output": [GOOD, BAD]}],
        [preferred((f"Add.\n{Q}",), id="0")],
    ),
    "webgpt": (
        "webgpt",
        [
            {
                "question": {"dataset": "eli5", "id": "x", "full_text": Q}, "answer_0": BAD, "score_0": a,
                "answer_1": GOOD, "score_1": b,
            }
            for a, b in ((-0.5, 0.5), (0.5, -0.5), (0.0, 0.0))
        ],
        [
            Comparison((Q,), (BAD,), (GOOD,), vote, str(i), tags=(("source", "eli5"),))
            for i, vote in enumerate((B_WINS, A_WINS, TIE))
        ],
    ),
    "nectar": (
        "nectar",
        [
            {
                "prompt": f"\n\nHuman: {Q}\n\nAssistant: ", "source": ["s"], "turns": 1,
                "answers": [
                    {"answer": GOOD, "model": "m", "rank": 1.0}, {"answer": "two", "model": "n", "rank": 2.0},
                    {"answer": BAD, "model": "o", "rank": 2.0},
                ],
            }
        ],
        [],  # see test_ranked_lists
    ),
    "ultrafeedback": (
        "ultrafeedback",
        [
            {
                "instruction": Q, "source": "s",
                "completions": [
                    {"model": "m", "response": GOOD, "overall_score": 1.0, "fine-grained_score": 4.75},
                    {"model": "n", "response": BAD, "overall_score": 10.0, "fine-grained_score": 1.25},
                ],
            }
        ],
        [],
    ),
    "wsdm": (
        "winner",
        [{"id": "x", "prompt": Q, "response_a": BAD, "response_b": GOOD, "winner": "model_b", "language": "English"}],
        [Comparison((Q,), (BAD,), (GOOD,), B_WINS, "x", tags=(("language", "English"),))],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYOUTS)
def test_layouts_are_read_as_expected(tmp_path: Path, name: str) -> None:
    layout, rows, expected = LAYOUTS[name]
    file = read_votes(write_jsonl(tmp_path / "v.jsonl", rows), votes="required")
    assert [problem for problem in file.problems if problem.severity != "note"] == []
    assert file.layout_name == layout
    if expected:
        assert list(file.comparisons) == expected


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("ending", [".parquet", ".jsonl", ".csv"])
def test_what_is_written_reads_back_equal(tmp_path: Path, name: str, ending: str) -> None:
    file = read_votes(write_jsonl(tmp_path / "v.jsonl", LAYOUTS[name][1]), votes="required")
    write_comparisons(tmp_path / f"votes{ending}", file.comparisons)
    again = read_votes(tmp_path / f"votes{ending}", votes="required")
    assert again.comparisons == file.comparisons
    assert again.layout_name in ("lmsys", "soft")
    assert again.column_sources == {}


@pytest.mark.parametrize("name", LAYOUTS)
def test_parquet_and_data_frames_read_as_json_lines_do(tmp_path: Path, name: str) -> None:
    rows = LAYOUTS[name][1]
    expected = read_votes(write_jsonl(tmp_path / "v.jsonl", rows), votes="required").comparisons
    pd.DataFrame(rows).to_parquet(tmp_path / "v.parquet")
    assert read_votes(tmp_path / "v.parquet", votes="required").comparisons == expected
    assert from_frame(pd.read_parquet(tmp_path / "v.parquet"), votes="required") == expected


def test_a_system_column_is_read_in_every_layout(tmp_path: Path) -> None:
    pku = {"system": "S", "prompt": Q, "response_0": BAD, "response_1": GOOD, "better_response_id": 1}
    scores = {"system": "S", "prompt": Q, "responses": [BAD, GOOD], "scores": [1, 2]}
    for row in (pku, scores):
        (comparison,) = read_votes(write_jsonl(tmp_path / "v.jsonl", [row]), votes="required").comparisons
        assert (comparison.system, comparison.prompt) == ("S", (f"S\n\n{Q}",))


def test_every_converter_says_what_it_reads_from_columns_that_it_has() -> None:
    for converter in CONVERTERS:
        assert {*converter.reads} >= {"prompt"} or converter.name == "arena"
        assert {*converter.reads} >= {"chosen", "rejected"} or {*converter.reads} >= {"response_a", "response_b"}


def test_ranked_lists_give_every_pair_with_sides_by_hash(tmp_path: Path) -> None:
    file = read_votes(write_jsonl(tmp_path / "v.jsonl", LAYOUTS["nectar"][1]), votes="required")
    won = {c.id: {c.answer_a[0]: c.vote[0], c.answer_b[0]: c.vote[1]} for c in file.comparisons if c.vote}
    assert won == {"0/1-2": {GOOD: 1, "two": 0}, "0/1-3": {GOOD: 1, BAD: 0}, "0/2-3": {"two": 0, BAD: 0}}
    models = {
        answer: dict(c.tags)[f"model_{side}"]
        for c in file.comparisons
        for side, answer in zip("ab", (c.answer_a[0], c.answer_b[0]), strict=True)
    }
    assert models == {GOOD: "m", "two": "n", BAD: "o"}
    many = [{"prompt": f"{i}?", "responses": ["x", "y"], "scores": [2, 1]} for i in range(200)]
    votes = [c.vote for c in read_votes(write_jsonl(tmp_path / "w.jsonl", many), votes="required").comparisons]
    assert 70 <= votes.count(A_WINS) <= 130  # half of them, within 4 standard deviations


def test_sides_of_ranked_lists_are_the_same_in_every_format(tmp_path: Path) -> None:
    rows = [
        {"prompt": [USER, {**said("Hm."), "name": "n"}, said(f"{i}?", "user")], "answers": ["x", "y"], "scores": [1, 2]}
        for i in range(20)
    ]
    pd.DataFrame(rows).to_parquet(tmp_path / "v.parquet")
    expected = read_votes(write_jsonl(tmp_path / "v.jsonl", rows), votes="required").comparisons
    assert {c.vote for c in expected} == {A_WINS, B_WINS}
    assert read_votes(tmp_path / "v.parquet", votes="required").comparisons == expected


@pytest.mark.parametrize("prompt", [[USER], json.dumps([USER]), Q])
@pytest.mark.parametrize(
    "row",
    [
        {"question": None, "chosen": GOOD, "rejected": BAD},
        {"instruction": None, "output": [GOOD, BAD]},
        {"prompt": None, "response_0": GOOD, "response_1": BAD, "better_response_id": 0},
        {"query": None, "responses": [GOOD, BAD], "scores": [2, 1]},
    ],
)
def test_prompts_may_be_messages(tmp_path: Path, row: dict[str, Any], prompt: object) -> None:
    [column] = [name for name, cell in row.items() if cell is None]
    file = read_votes(write_jsonl(tmp_path / "v.jsonl", [{**row, column: prompt}]), votes="required")
    assert [c.prompt for c in file.comparisons] == [(Q,)]


def test_ultrafeedback_is_ranked_by_the_mean_of_its_ratings(tmp_path: Path) -> None:
    (comparison,) = read_votes(
        write_jsonl(tmp_path / "v.jsonl", LAYOUTS["ultrafeedback"][1]), votes="required"
    ).comparisons
    assert comparison.vote is not None
    assert {comparison.answer_a: comparison.vote[0], comparison.answer_b: comparison.vote[1]} == {(GOOD,): 1, (BAD,): 0}


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"prompt": Q, "response_1": GOOD, "response_2": BAD, "preference_strength": "strong"}, "expected a number"),
        ({"prompt": Q, "response_0": GOOD, "response_1": BAD, "better_response_id": 2}, "is 2: expected 0 or 1"),
        ({"prompt": Q, "responses": [GOOD, BAD]}, "has no ranks or scores"),
        ({"prompt": Q, "responses": [GOOD, BAD], "ranks": [1]}, "has 1 numbers for 2 answers"),
        ({"prompt": Q, "answers": [{"answer": GOOD}, {"answer": BAD}]}, "a text (answer) and a rank or score"),
        (
            {"prompt": Q, "answers": [{"answer": GOOD, "score": 4.5}, {"answer": BAD, "rating": 8}]},
            "a text (answer) and a score",
        ),
        ({"prompt": Q, "answers": ["x", "y", "z"], "ranking": [2, 0, 1]}, "rename it to ranks if it holds ranks"),
        ({"instruction": Q, "input": "", "output": GOOD}, "is '2', one answer: expected a list of the chosen"),
        (
            {"prompt": Q, "response_a": "[{'role': 'a'}]", "response_b": "[{'role': 'b'}]", "winner": 1},
            "Python printed",
        ),
        ({"question": "[{'role': 'user'}]", "chosen": GOOD, "rejected": BAD}, "Python printed"),
        ({"instruction": "Add.", "input": [1, 1], "chosen": GOOD, "rejected": BAD}, "is [1, 1]: expected text that"),
        (
            {"context": "[{'role': 'user'}]", "response1": GOOD, "response2": BAD, "overall_preference": 1},
            "Python printed",
        ),
        ({"conversation_a": "[{'role': 'user'}]", "conversation_b": [USER], "winner": "tie"}, "that Python printed"),
        ({"messages": [USER, said(GOOD)], "rejected_messages": [said("Hi", "user"), said(BAD)]}, "has another prompt"),
        (
            {"conversation_a": [{"role": "user", "content": [{"type": "image", "image": "x"}]}, said(GOOD)],
             "conversation_b": [USER, said(BAD)], "winner": "tie"},
            "has an image in message 1",
        ),
    ],
)  # fmt: skip
def test_rows_that_are_not_understood_are_refused_with_the_reason(
    tmp_path: Path, row: dict[str, Any], reason: str
) -> None:
    file = read_votes(write_jsonl(tmp_path / "v.jsonl", [row]), votes="required")
    assert file.comparisons == ()
    assert reason in file.problems[0].message
    assert file.problems[0].line == 1


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"prompt": Q, "response": GOOD, "helpfulness": 4, "correctness": 4}, "HelpSteer's ratings of single answers"),
        ({"prompt": Q, "completion": GOOD, "label": True}, "single answers with a label, for KTO"),
        ({"messages": [USER, said(GOOD)], "kto_tag": True}, "single answers with a tag, for KTO"),
        ({"message_id": "1", "parent_id": None, "text": Q, "role": "prompter", "rank": 0}, "OpenAssistant's trees"),
    ],
)
def test_files_without_comparisons_are_refused_by_name(tmp_path: Path, row: dict[str, Any], reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        read_votes(write_jsonl(tmp_path / "v.jsonl", [row]), votes="required")


@pytest.mark.parametrize(
    "columns", [("response_1", "response_2"), ("response_2", "response_1"), ("a_response", "b_response")]
)
def test_no_hint_exchanges_the_answers(tmp_path: Path, columns: tuple[str, str]) -> None:
    row = {"prompt": Q, **dict(zip(columns, (GOOD, BAD), strict=True)), "winner": "model_a"}
    with pytest.raises(DataError, match=r"lacks response_a, response_b\.") as caught:
        read_votes(write_jsonl(tmp_path / "v.jsonl", [row]), votes="required")
    assert "rename" not in str(caught.value)
    assert "--map" in str(caught.value)


def test_columns_about_answers_are_no_near_names_of_answers(tmp_path: Path) -> None:
    row = {"instruction": Q, "chosen_response": GOOD, "rejected_response": BAD, "chosen_model": "m", "chosen_score": 5}
    with pytest.raises(DataError) as caught:
        read_votes(write_jsonl(tmp_path / "v.jsonl", [row]), votes="required")
    expected = "lacks chosen (rename 'chosen_response'?), rejected (rename 'rejected_response'?)."
    assert str(caught.value).splitlines()[0].endswith(expected)


def test_cells_of_csv_hold_json(tmp_path: Path) -> None:
    layout, rows, expected = LAYOUTS["arena-33k"]
    cells = {name: json.dumps(cell) if isinstance(cell, list) else cell for name, cell in rows[0].items()}
    pd.DataFrame([cells]).to_csv(tmp_path / "v.csv", index=False)
    file = read_votes(tmp_path / "v.csv", votes="required")
    assert (file.layout_name, list(file.comparisons)) == (layout, expected)


def test_an_empty_last_answer_of_a_transcript_is_an_empty_answer(tmp_path: Path) -> None:
    row = {"chosen": f"\n\nHuman: {Q}\n\nAssistant: {GOOD}", "rejected": f"\n\nHuman: {Q}\n\nAssistant: "}
    file = read_votes(write_jsonl(tmp_path / "v.jsonl", [row]), votes="required")
    assert file.comparisons == (preferred(bad=("",), id="0"),)
    assert [problem.kind for problem in file.problems] == ["empty_answer"]


@pytest.mark.parametrize("name", ["skywork", "arena-33k", "sharegpt", "ms-swift"])
def test_messages_that_python_printed_into_csv_are_refused(tmp_path: Path, name: str) -> None:
    whole = {"chosen": [USER, said(GOOD)], "rejected": [USER, said(BAD)]}
    rows = [whole] if name == "skywork" else LAYOUTS[name][1]
    pd.DataFrame(rows).to_csv(tmp_path / "v.csv", index=False)
    file = read_votes(tmp_path / "v.csv", votes="required")
    assert file.comparisons == ()
    assert "is a list that Python printed, and not JSON: save the table as Parquet" in file.problems[0].message
