from __future__ import annotations

import inspect
import shutil
from pathlib import Path
from typing import Any

import pytest

from tiebreak import load_judge, train
from tiebreak._deprecation import renamed_argument
from tiebreak.errors import RecipeError
from tiebreak.recipe import Recipe


@renamed_argument("tell", "log")
def greet(name: str, *, log: Any = None) -> tuple[str, Any]:
    """Say hello."""
    return name, log


def test_the_former_name_works_and_warns() -> None:
    with pytest.warns(
        DeprecationWarning, match=r"greet\(tell=\.\.\.\) is deprecated .* use log=\.\.\. instead"
    ) as warned:
        assert greet("Ada", tell=print) == ("Ada", print)  # type: ignore[call-arg]
    assert warned[0].filename == __file__


def test_the_present_name_does_not_warn(recwarn: pytest.WarningsRecorder) -> None:
    assert greet("Ada", log=print) == ("Ada", print)
    assert not recwarn.list


def test_both_names_are_an_error() -> None:
    with pytest.raises(TypeError, match="both 'log' and its former name 'tell'"):
        greet("Ada", log=print, tell=print)  # type: ignore[call-arg]


def test_the_signature_and_docstring_are_kept() -> None:
    assert greet.__doc__ == "Say hello."
    assert list(inspect.signature(greet).parameters) == ["name", "log"]


def test_train_accepts_tell() -> None:
    with pytest.warns(DeprecationWarning, match="tell"), pytest.raises(RecipeError, match=r"data\.train"):
        train(Recipe(), tell=print)  # type: ignore[call-arg]


def test_load_judge_accepts_tell(tmp_path: Path) -> None:
    run = shutil.copytree(Path(__file__).parents[1] / "fixtures/runs_0_1/prior", tmp_path / "prior")
    with pytest.warns(DeprecationWarning, match="tell"):
        judge = load_judge(run, tell=print)  # type: ignore[call-arg]
    assert judge.compare("q", "a", "b") == load_judge(run, log=print).compare("q", "a", "b")
