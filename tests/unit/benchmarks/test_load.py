"""Benchmarks' files -> rows, in the shapes in which they are published."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tiebreak.benchmarks import BENCHMARKS, ChoiceItems, PairItems, load_benchmark
from tiebreak.errors import DataError
from tiebreak.types import A_WINS, B_WINS, TIE

CONVERSATION = [
    {"role": "user", "content": "one?"}, {"role": "assistant", "content": "yes"},
    {"role": "user", "content": "and two?"}, {"role": "assistant", "content": "no"},
]  # fmt: skip
ROWS: dict[str, dict[str, Any]] = {
    "rewardbench": {
        "id": 3, "prompt": "[what]", "chosen": "good", "rejected": "bad", "subset": "hep-go", "chosen_model": "m",
    },
    "rewardbench2": {
        "id": "tied:4", "prompt": "p", "chosen": ["a", "b"], "rejected": ["c"], "num_correct": 2, "subset": "Ties",
    },
    "llmbar": {"input": "do", "output_1": "done", "output_2": "not", "label": 2},
    "judgebench": {
        "pair_id": "x", "source": "mmlu-pro-law", "question": "q", "response_A": "a", "response_B": "b", "label": "B>A",
    },
    "mt-bench": {
        "question_id": 81, "model_a": "zeta", "model_b": "alpha", "winner": "model_a", "judge": "expert_1",
        "conversation_a": CONVERSATION, "conversation_b": CONVERSATION, "turn": 1,
    },
}  # fmt: skip
FILES = {
    "rewardbench": "data/filtered-00000-of-00001.parquet",
    "rewardbench2": "data/test-00000-of-00001.parquet",
    "llmbar": "Dataset/LLMBar/Adversarial/GPTInst/dataset.json",
    "judgebench": "data/gpt-4o.jsonl",
    "mt-bench": "data/human-00000-of-00001-25f4910818759289.parquet",
}


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        path.write_text(json.dumps(rows))
    return path


@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_folder_as_it_is_published_is_read_and_recognised(tmp_path: Path, name: str) -> None:
    file = write(tmp_path / FILES[name], [ROWS[name]])
    for items in (load_benchmark(name, tmp_path), load_benchmark(str(tmp_path)), load_benchmark(str(file))):
        assert items.about.name == name
        assert len(items.rows) == 1
        assert items.files == (str(file),)


def test_pairs_hold_what_the_columns_say(tmp_path: Path) -> None:
    found = {
        name: load_benchmark(name, write(tmp_path / name / FILES[name], [ROWS[name]]).parents[1])
        for name in ("rewardbench", "judgebench", "mt-bench")
    }
    [chosen], [right], [vote] = (items.rows for items in found.values())
    assert (chosen.prompt, chosen.answer_a, chosen.vote) == (("[what]",), ("good",), A_WINS)  # type: ignore[union-attr]
    assert (right.vote, dict(right.tags)["source"]) == (B_WINS, "Knowledge")  # type: ignore[union-attr]
    # The first turn alone, and the model whose name comes first as A.
    assert (vote.prompt, vote.vote) == (("one?",), B_WINS)  # type: ignore[union-attr]
    [output] = load_benchmark("llmbar", write(tmp_path / FILES["llmbar"], [ROWS["llmbar"]])).rows
    assert (output.vote, dict(output.tags)["source"]) == (B_WINS, "GPTInst")  # type: ignore[union-attr]


def test_right_answers_come_first(tmp_path: Path) -> None:
    items = load_benchmark("rewardbench2", write(tmp_path / "rows.jsonl", [ROWS["rewardbench2"]]))
    assert isinstance(items, ChoiceItems)
    assert items.rows[0].answers == (("a",), ("b",), ("c",))
    assert items.rows[0].right == 2


def test_mt_bench_looks_at_experts_alone(tmp_path: Path) -> None:
    rows = [ROWS["mt-bench"], ROWS["mt-bench"] | {"judge": "author_2"}, ROWS["mt-bench"] | {"turn": 2}]
    rows.append(ROWS["mt-bench"] | {"winner": "tie (inconsistent)"})
    items = load_benchmark("mt-bench", write(tmp_path / "human.jsonl", rows))
    assert isinstance(items, PairItems)
    assert [len(c.prompt) for c in items.rows] == [1, 2, 1]
    assert items.rows[2].vote == TIE
    assert items.left_out == "1 row that the rule does not score"


@pytest.mark.parametrize(
    ("path", "subset"),
    [
        ("natural-language/LLMBar/Adversarial/GPTInst/dataset.json", "GPTInst"),
        ("natural/Manual.json", "Manual"),
        ("LLMBar/Natural/dataset.json", "Natural"),
        ("mine/rows.json", "mine"),
    ],
)
def test_llmbar_sets_go_by_the_nearest_folder(tmp_path: Path, path: str, subset: str) -> None:
    [row] = load_benchmark("llmbar", write(tmp_path / path, [ROWS["llmbar"]])).rows
    assert dict(row.tags)["source"] == subset  # type: ignore[union-attr]


def test_a_file_that_is_nearly_a_benchmark_is_told_so(tmp_path: Path) -> None:
    row = {key: value for key, value in ROWS["rewardbench2"].items() if key != "num_correct"}
    with pytest.raises(DataError, match=r"If it is RewardBench 2 .*, it lacks num_correct\."):
        load_benchmark(str(write(tmp_path / "rows.jsonl", [row])))


def test_own_pairs_are_read_without_ties(tmp_path: Path) -> None:
    rows = [
        {"prompt": "p", "response_a": "a", "response_b": "b", "winner": winner, "source": "mine"}
        for winner in ("model_a", "tie", "model_b")
    ]
    items = load_benchmark(str(write(tmp_path / "own.jsonl", rows)))
    assert isinstance(items, PairItems)
    assert [c.vote for c in items.rows] == [A_WINS, B_WINS]
    assert items.left_out.endswith("1 row labelled a tie")
    weighted = [row | {"weight": weight} for row, weight in zip(rows, (2, 0, 0), strict=True)]
    items = load_benchmark(str(write(tmp_path / "weighted.jsonl", weighted)))
    assert ([c.weight for c in items.rows], items.left_out) == ([2.0], "2 rows of weight 0")
    with pytest.raises(DataError, match="gives every row the weight 0, so there is nothing to score"):
        load_benchmark(str(write(tmp_path / "zero.jsonl", [row | {"weight": 0} for row in rows])))
    chosen = [{"prompt": "p", "chosen": "good", "rejected": "bad", "subset": "none of RewardBench's"}]
    assert load_benchmark(str(write(tmp_path / "chosen.jsonl", chosen))).about.title == "Labelled pairs in chosen.jsonl"


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("rewardbench", {"rejected": None}, "row 1: rejected is None: expected a text"),
        ("rewardbench2", {"rejected": []}, "rejected is []: expected a list of texts"),
        ("rewardbench2", {"id": "7"}, "id is '7': in the subset Ties it says ref:N"),
        ("rewardbench2", {"chosen": ["a"]}, "chosen holds one answer"),
        ("llmbar", {"label": 0}, "label is 0: expected 1 or 2"),
        ("llmbar", {"label": True}, "label is True"),
        ("judgebench", {"label": "A=B"}, "label is 'A=B': expected A>B or B>A"),
        ("mt-bench", {"turn": 3}, "turn is 3: expected 1 or 2"),
        ("mt-bench", {"winner": "both"}, "winner is 'both'"),
        (
            "mt-bench",
            {"conversation_a": CONVERSATION[:1]},
            "expected messages of user and assistant in turn, 1 of each",
        ),
    ],
)
def test_a_row_that_cannot_be_used_is_named(tmp_path: Path, name: str, change: dict[str, Any], message: str) -> None:
    file = write(tmp_path / "rows.json", [ROWS[name] | change])
    with pytest.raises(DataError) as caught:
        load_benchmark(name, file)
    assert message in str(caught.value)
    assert "1 row cannot be used" in str(caught.value)


def test_what_is_no_benchmark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match=r"no benchmark or file 'rewardbench3'.* Is it rewardbench\?"):
        load_benchmark("rewardbench3")
    with pytest.raises(DataError, match="For your own file: --benchmark"):
        load_benchmark("mine", tmp_path)
    with pytest.raises(DataError, match="holds no file of JudgeBench"):
        load_benchmark("judgebench", tmp_path)
    with pytest.raises(DataError, match="holds no files of a known benchmark"):
        load_benchmark(str(tmp_path))
    file = write(tmp_path / "rows.json", [ROWS["llmbar"]])
    with pytest.raises(DataError, match=r"is not a file of JudgeBench .*: it lacks the columns question"):
        load_benchmark("judgebench", file)
    ties = write(tmp_path / "ties.jsonl", [{"prompt": "p", "response_a": "a", "response_b": "b", "winner": "tie"}])
    with pytest.raises(DataError, match="labels every row as a tie"):
        load_benchmark(str(ties))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "none"))
    with pytest.raises(DataError, match=r"cannot be downloaded from the hub \(dataset allenai/reward-bench-2\)"):
        load_benchmark("rewardbench2")


def test_a_benchmark_in_the_hubs_cache_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `hf download` leaves behind, read without a network."""
    cache = tmp_path / "cache" / "datasets--allenai--reward-bench-2"
    write(cache / "snapshots" / "abc" / FILES["rewardbench2"], [ROWS["rewardbench2"]])
    (cache / "refs").mkdir()
    (cache / "refs" / "main").write_text("abc")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    assert load_benchmark("rewardbench2").about.title.startswith("RewardBench 2")
