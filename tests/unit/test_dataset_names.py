"""Which texts name a data set, and which a path."""

from __future__ import annotations

from pathlib import Path

import pytest

from tiebreak.dataset_names import DatasetName, parse_dataset_name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("lmarena-ai/arena-human-preference-55k", ("lmarena-ai/arena-human-preference-55k", None, None)),
        ("org/llama-3.1-mix:test", ("org/llama-3.1-mix", None, "test")),
        ("org/name:hard:test", ("org/name", "hard", "test")),
        ("data", ("data", None, None)),
        ("data:test", ("data", None, "test")),
        ("bare:hard:test", ("bare", "hard", "test")),
        ("bare", None),  # a folder, but nothing says that it is a data set
        ("votes.csv", None),
        ("org/there", None),  # a local path that exists wins
        ("votes/train.csv", None),
        ("votes/train.CSV.gz", None),
        ("votes/train.csv:test", None),
        ("imdb", None),
        ("a/b/c", None),
        ("./a", None),
        ("../a", None),
        ("/a/b", None),
        ("~/b", None),
        ("org/name:", None),
        ("org/name::test", None),
        ("org/name:a:b:c", None),
        ("votes/*", None),
        ("", None),
        (":test", None),
        ("x" * 300, None),  # too long for a file name
    ],
)
def test_names(
    text: str, name: tuple[str, str | None, str | None] | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("data", "bare", "org"):
        Path(folder).mkdir()
    for file in ("data/README.md", "votes.csv", "org/there"):
        Path(file).write_text("")
    assert parse_dataset_name(text) == (None if name is None else DatasetName(*name))
    if name is not None:
        assert str(DatasetName(*name)) == text
