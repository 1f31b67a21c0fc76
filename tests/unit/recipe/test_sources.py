"""`data.train`: a path, a glob, the name of a data set, or a list of these, in a file and on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tiebreak import RecipeError, load_recipe
from tiebreak.recipe import VotesSource, dump_recipe

HUB = "lmarena-ai/arena-human-preference-55k"


def train_of(override: str) -> Any:
    return load_recipe("demo", [f"data.train={override}"]).data.train


@pytest.mark.parametrize(
    "text", ["2024-01-01", "5", "1e5", "a #b.csv", "a: b", "true", "{x", "[x", "*.csv", "a,b.csv", "x" * 300]
)
def test_one_path_is_literal_and_absolute(text: str) -> None:
    assert train_of(text) == Path.cwd() / text


def test_the_name_of_a_data_set_stays_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = load_recipe("demo", [f"data.train={HUB}", "data.validation=org/name:test", "data.calibration=o/n:c:s"])
    data = recipe.data
    assert [str(data.train), str(data.validation), str(data.calibration)] == [HUB, "org/name:test", "o/n:c:s"]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "org" / "name").mkdir(parents=True)  # a local path that exists wins
    assert train_of("org/name") == tmp_path / "org" / "name"
    assert train_of("org/name:test") == tmp_path / "org" / "name:test"


def test_lists_on_the_command_line() -> None:
    here = Path.cwd()
    assert train_of("[a.csv, b.csv]") == (VotesSource(path=here / "a.csv"), VotesSource(path=here / "b.csv"))
    assert train_of("[x]") == (VotesSource(path=here / "x"),)
    assert train_of(f"[*.csv,{HUB}:train, 5]") == (
        VotesSource(path=here / "*.csv"), VotesSource(path=Path(f"{HUB}:train")), VotesSource(path=here / "5"),
    )  # fmt: skip
    assert train_of("[{path: a.csv, share: 0.3}, 'b,c.csv', {path: o/n, weight: 2}]") == (
        VotesSource(path=here / "a.csv", share=0.3),
        VotesSource(path=here / "b,c.csv"),
        VotesSource(path=Path("o/n"), weight=2.0),
    )


def test_a_list_may_be_longer_than_a_path() -> None:
    names = [f"{'votes' * 10}-{number}.csv" for number in range(100)]
    assert train_of(f"[{','.join(names)}]") == tuple(VotesSource(path=Path.cwd() / name) for name in names)


def test_a_file_in_brackets_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "[x]").write_text("")
    assert train_of("[x]") == tmp_path / "[x]"


def test_a_recipe_with_a_list_survives_a_round_trip(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("data:\n  train:\n  - a.csv\n  - {path: org/name:test, share: 0.5, weight: 3}\n")
    recipe = load_recipe(mine)
    assert recipe.data.train == (
        VotesSource(path=Path.cwd() / "a.csv"), VotesSource(path=Path("org/name:test"), share=0.5, weight=3.0),
    )  # fmt: skip
    (tmp_path / "again.yaml").write_text(dump_recipe(recipe))
    assert load_recipe(tmp_path / "again.yaml") == recipe


def test_one_path_is_written_as_before() -> None:
    assert f"  train: {Path.cwd() / 'a.csv'}\n" in dump_recipe(load_recipe("demo", ["data.train=a.csv"]))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("[]", r"data\.train: is an empty list: name at least one file"),
        ("[a.csv,]", r"data\.train: has an empty entry \[1\]: name a file there"),
        ("[{path: a, shar: 1}]", r"data\.train: entry \[0\] has no key shar: the keys of an entry are path, share"),
        ("[{share: 0.5}]", r"data\.train\.0\.path: Field required"),
        ("[a, {path: b, share: 0}]", r"data\.train\.1\.share: Input should be greater than 0 \(it is 0\)"),
        ("[{path: b, share: 1.5}]", r"data\.train\.0\.share: .*less than or equal to 1 \(it is 1\.5\)"),
        ("[{path: b, weight: 0}]", r"data\.train\.0\.weight: .*greater than 0 \(it is 0\)"),
        ("[{path: b, weight: .inf}]", r"data\.train\.0\.weight: .*finite"),
        ("['a', 5]", r"data\.train: entry \[1\] should be a path or a mapping with the keys path, share, .*, not 5"),
        ("{path: a, share: 0.5}", r"data\.train: is a mapping: put it in a list, as in \[\{path: votes\.csv, share"),
        ("[{path: a]", r"The value of .* cannot be read as YAML"),
    ],
)  # fmt: skip
def test_errors_name_the_entry(value: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        train_of(value)


def test_other_kinds_of_values_are_refused(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    for value, message in (
        ("5", "should be a path, the name of a data set, or a list of"),
        ("{path: a}", "is a mapping"),
    ):
        mine.write_text(f"data: {{train: {value}}}\n")
        with pytest.raises(RecipeError, match=rf"data\.train: {message}"):
            load_recipe(mine)
