"""Line ends, lone surrogates and NUL are one thing in every text that a judge reads, wherever it comes from."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from starlette.testclient import TestClient

from tiebreak import Comparison, Conversation, Judge, load_judge
from tiebreak.benchmarks.cells import pair
from tiebreak.data import from_frame, read_votes
from tiebreak.rewards.judge_reward import JudgeReward
from tiebreak.serving import create_app
from tiebreak.types import OUTCOMES
from tiebreak.unicode import clean_text

RUNS = Path(__file__).parents[1] / "fixtures" / "runs_0_1"
RAW = ("Sum up:\r\n1 + 1\rand\x00 \ud83d", "# Two\r\n\r\n- it is 2\r- sure\x00", "3\r\n\udc00\r\n")
CLEAN = ("Sum up:\n1 + 1\nand\ufffd \ufffd", "# Two\n\n- it is 2\n- sure\ufffd", "3\n\ufffd\n")


@pytest.fixture(scope="module", params=["tfidf", "pairwise"])
def judge(request: pytest.FixtureRequest) -> Judge:
    return load_judge(RUNS / request.param)


def write_csv(path: Path, cells: dict[str, str]) -> Path:
    quoted = ",".join(f'"{cell}"' for cell in cells.values())
    path.with_suffix(".csv").write_bytes(f"{','.join(cells)}\n{quoted}\n".encode("utf-8", "surrogatepass"))
    return path.with_suffix(".csv")


def write_json(path: Path, cells: dict[str, str]) -> Path:
    path.with_suffix(".jsonl").write_text(json.dumps(cells) + "\n", newline="")
    return path.with_suffix(".jsonl")


def write_parquet(path: Path, cells: dict[str, str]) -> Path:
    as_turns = {name: json.dumps([text]) for name, text in cells.items()}  # Parquet has no surrogates, JSON has
    pd.DataFrame([as_turns]).to_parquet(path.with_suffix(".parquet"))
    return path.with_suffix(".parquet")


@pytest.mark.parametrize("write", [write_csv, write_json, write_parquet])
def test_a_file_has_the_texts_that_python_has(write: Callable[[Path, dict[str, str]], Path], tmp_path: Path) -> None:
    cells = dict(zip(("prompt", "response_a", "response_b"), RAW, strict=True))
    file = read_votes(write(tmp_path / "votes", cells), votes="optional")
    assert [(problem.column, problem.message[:5]) for problem in file.problems] == [
        ("prompt", "had 2"), ("response_a", "had 1"), ("response_b", "had 1"),
    ]  # fmt: skip
    [row] = file.comparisons
    assert (row.prompt, row.answer_a, row.answer_b) == tuple((text,) for text in CLEAN)
    [row] = from_frame(pd.DataFrame([cells], dtype=object))
    assert (row.prompt, row.answer_a, row.answer_b) == tuple((text,) for text in CLEAN)
    row = pair(cells | {"id": "1"}, "prompt", "response_a", "response_b", first_wins=True, subset="")
    assert (row.prompt, row.answer_a, row.answer_b) == tuple((text,) for text in CLEAN)


def test_verdicts_are_equal_in_python_frames_and_http(judge: Judge) -> None:
    expected = judge.compare(*CLEAN).probabilities
    by_outcome = dict(zip(OUTCOMES, expected, strict=True))
    assert judge.compare(*RAW).probabilities == expected
    frame = pd.DataFrame([dict(zip(("prompt", "response_a", "response_b"), RAW, strict=True))], dtype=object)
    assert tuple(judge.compare_frame(frame).iloc[0][:3]) == expected
    with TestClient(create_app(judge, name="judge", grace=1)) as client:
        for texts in (RAW, CLEAN):
            body = json.dumps({"prompt": texts[0], "answers": texts[1:], "swap": "none"})  # surrogates as escapes
            verdict = client.post("/v1/compare", content=body, headers={"content-type": "application/json"}).json()
            assert verdict["probabilities"] == pytest.approx(by_outcome)


def test_a_reward_function_reads_clean_texts() -> None:
    conversations: list[Conversation] = []

    def rewards(rows: object) -> list[float]:
        conversations.extend(rows)  # type: ignore[arg-type]
        return [0.0] * len(conversations)

    JudgeReward(rewards, scores_alone=True)([RAW[0]], [RAW[1]])
    assert conversations == [Conversation(CLEAN[:1], CLEAN[1:2])]


def test_a_rendered_text_has_the_reward_of_its_clean_text() -> None:
    judge = load_judge(RUNS / "pointwise")
    raw, clean = judge.read_many([RAW[1], CLEAN[1]])
    assert raw.outputs == pytest.approx(clean.outputs, abs=1e-6)


def test_messages_of_both_sides_may_have_other_line_ends() -> None:
    def chat(system: str, prompt: str, reply: str) -> list[dict[str, str]]:
        texts = {"system": system, "user": prompt, "assistant": reply}
        return [{"role": role, "content": text} for role, text in texts.items()]

    cells = {"chosen": [chat("Be\r", "a\r\nb\x00", "good\r")], "rejected": [chat("Be\n", "a\nb\x00", "bad\n")]}
    [row] = from_frame(pd.DataFrame(cells))
    assert (row.system, row.user_turns) == ("Be\n", ("a\nb\ufffd",))
    assert {row.answer_a, row.answer_b} == {("good\n",), ("bad\n",)}


def test_the_side_of_a_chosen_answer_does_not_depend_on_line_ends() -> None:
    for number in range(20):
        rows = [
            from_frame(pd.DataFrame([{"prompt": f"p{number}", "chosen": f"a{end}b", "rejected": "c"}]))[0]
            for end in ("\n", "\r\n", "\r")
        ]
        assert rows == [rows[0]] * 3


def test_a_system_message_is_cleaned_apart_from_the_turn_behind_it() -> None:
    row = Comparison(("Be\r\nbrief\r\n\nHi\r",), ("a\r",), ("b",), system="Be\r\nbrief\r")
    assert row == Comparison(("Be\nbrief\n\n\nHi\n",), ("a\n",), ("b",), system="Be\nbrief\n")
    assert row.user_turns == ("Hi\n",)
    side = Conversation(("Be\r\n\nHi",), ("a",), "Be\r")
    assert (side.system, side.user_turns) == ("Be\n", ("Hi",))


def test_other_separators_stay_and_cleaning_twice_changes_nothing() -> None:
    assert clean_text("a\x85b\u2028c\x0bd") == "a\x85b\u2028c\x0bd"
    for text in RAW:
        assert clean_text(clean_text(text)) == clean_text(text)
