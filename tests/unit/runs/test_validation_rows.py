"""The validation rows in a run's folder come back equal; so do the prompts that the run learned from."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiebreak.errors import RunError
from tiebreak.prompt_folding import fold_prompt_0_1
from tiebreak.runs import (
    RunFolder,
    have_hashes,
    prompt_hashes,
    read_training_prompts,
    read_validation_rows,
    write_prompt_hashes,
    write_training_prompts,
    write_validation_rows,
)
from tiebreak.types import A_WINS, Comparison

TEXTS = st.text(max_size=20)  # lone surrogates included


@st.composite
def comparisons(draw: st.DrawFn) -> Comparison:
    turns = draw(st.integers(1, 3))
    prompt, a, b = (tuple(draw(st.lists(TEXTS, min_size=turns, max_size=turns))) for _ in range(3))
    vote = draw(st.sampled_from([(1.0, 0.0, 0.0), (0.25, 0.25, 0.5), (0.0, 0.0, 1.0)]))
    tags = draw(st.sampled_from([(), (("language", "en"), ("model_a", "x"))]))
    weight = draw(st.sampled_from([1.0, 0.0, 0.3]))
    row_id, margin = str(draw(st.integers())), draw(st.floats(0, 5))
    return Comparison(prompt, a, b, vote=vote, id=row_id, margin=margin, tags=tags, weight=weight)


@given(rows=st.lists(comparisons(), max_size=5))
def test_rows_come_back_equal(rows: list[Comparison], tmp_path_factory: pytest.TempPathFactory) -> None:
    run = RunFolder(tmp_path_factory.mktemp("run"))
    write_validation_rows(run, rows, None)
    kept = read_validation_rows(run)
    assert kept is not None
    assert kept.comparisons == rows


def test_the_source_is_known_by_its_hash(tmp_path: Path) -> None:
    votes = tmp_path / "votes.csv"
    votes.write_text("some votes")
    run = RunFolder(tmp_path / "run")
    write_validation_rows(run, [Comparison(("p",), ("a",), ("b",), vote=A_WINS)], votes)
    kept = read_validation_rows(run)
    assert kept is not None
    assert (kept.source, kept.source_sha256) == (str(votes), sha256(b"some votes").hexdigest())


def test_a_run_without_them_has_none_and_a_damaged_file_is_refused(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    assert read_validation_rows(run) is None
    assert read_training_prompts(run) is None
    run.validation_rows.write_text("no parquet")
    with pytest.raises(RunError, match=r"validation\.parquet cannot be read"):
        read_validation_rows(run)
    run.training_prompts.write_text("no array")
    with pytest.raises(RunError, match=r"training_prompts\.npy cannot be read"):
        read_training_prompts(run)


def test_seen_prompts_are_found_in_other_spellings(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    write_training_prompts(run, [Comparison((text,), ("a",), ("b",)) for text in ("Why  me?", "why me?", "Other")])
    kept = read_training_prompts(run)
    assert kept is not None
    assert len(kept) == 2
    asked = ["WHY ME?", "\u201cWhy\u200b me\u201d", "new", "Other.", "Another"]
    assert have_hashes(asked, kept).tolist() == [True, True, False, True, False]


def test_hashes_of_an_older_run_find_prompts_as_they_did(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    write_prompt_hashes(run, prompt_hashes(["Why  me?", "2 - 2 = ?", "Other"], fold_prompt_0_1))
    kept = read_training_prompts(run)
    assert kept is not None
    asked = ["WHY ME? ", "2 -  2 = ?", "other", "2 + 2 = ?", "22 = ?", "new"]
    assert have_hashes(asked, kept).tolist() == [True, True, True, False, False, False]
