"""The small public surface, and how light it is."""

from __future__ import annotations

import subprocess
import sys

import pytest

import tiebreak


def test_the_public_names_are_these() -> None:
    assert tiebreak.__all__ == [
        "OUTCOMES", "AsyncClient", "Client", "Comparison", "ComparisonsError", "Conversation", "DataError",
        "EvaluationResult", "Judge",
        "MemoryBudgetError", "ModelError", "Outcome", "Ranking", "Recipe", "RecipeError", "RunError", "Score",
        "ServerError", "TiebreakError", "TrainingResult", "Verdict", "Vote",
        "__version__", "evaluate", "load_judge", "load_recipe", "reward_function", "train",
    ]  # fmt: skip
    for name in tiebreak.__all__:
        assert getattr(tiebreak, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'tain'"):
        tiebreak.tain  # noqa: B018


def test_errors_are_one_small_tree() -> None:
    kinds = [getattr(tiebreak, n) for n in tiebreak.__all__ if n.endswith("Error")]
    assert len(kinds) == 8
    assert all(issubclass(kind, tiebreak.TiebreakError) for kind in kinds)


@pytest.mark.parametrize(
    "code",
    [
        "import tiebreak",
        "import tiebreak.cli",
        "import tiebreak.data, tiebreak.text, tiebreak.metrics, tiebreak.calibration",
        "import tiebreak.ranking, tiebreak.baselines, tiebreak.recipe, tiebreak.runs",
        "import tiebreak.client; del sys.modules['httpx2']",
    ],
)
def test_nothing_heavy_is_imported_before_it_is_needed(code: str) -> None:
    names = "{'torch', 'transformers', 'peft', 'bitsandbytes', 'pandas', 'pyarrow', 'scipy', 'httpx2'}"
    heavy = f"sorted({names} & set(sys.modules))"
    shown = subprocess.run(
        [sys.executable, "-c", f"import sys; {code}; print({heavy})"], capture_output=True, text=True, check=True
    )
    assert shown.stdout.strip() == "[]"


def test_swapping_twice_changes_nothing() -> None:
    comparison = tiebreak.Comparison(("p",), ("a",), ("b",), (0.5, 0.3, 0.2), id="1")
    assert comparison.swap() == tiebreak.Comparison(("p",), ("b",), ("a",), (0.3, 0.5, 0.2), id="1")
    assert comparison.swap().swap() == comparison


@pytest.mark.parametrize("sides", [((), (), ()), (("p", "q"), ("a",), ("b",)), (("p",), ("a",), ("b", "c"))])
def test_a_comparison_needs_a_reply_to_every_turn(sides: tuple[tuple[str, ...], ...]) -> None:
    with pytest.raises(ValueError, match="as many answers on each side as prompts"):
        tiebreak.Comparison(*sides)


def test_a_bare_text_is_not_taken_for_turns_of_one_character() -> None:
    with pytest.raises(ValueError, match="tuples of turns"):
        tiebreak.Conversation("abc", "def")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="tuples of turns"):
        tiebreak.Comparison("abc", "def", "ghi")  # type: ignore[arg-type]
