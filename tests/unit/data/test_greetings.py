"""Conversations that begin with the assistant are grouped by their first prompt with text."""

from __future__ import annotations

import pytest

from tiebreak.data import split_by_prompt
from tiebreak.errors import DataError
from tiebreak.prompt_folding import fold_prompt_0_1
from tiebreak.types import Comparison


def test_greeted_rows_are_split_by_their_first_turn_with_text() -> None:
    rows = [Comparison(("", f"p{i % 4}"), ("Hi!", "a"), ("Hi!", "b"), id=str(i)) for i in range(8)]
    _, validation = split_by_prompt(rows, validation_rows=2, validation_share=None, seed=0)
    assert len(validation) == 2
    assert len({row.prompt[1] for row in validation}) == 1
    with pytest.raises(DataError, match="have the same first prompt"):  # in Tiebreak 0.1 they were one group
        split_by_prompt(rows, validation_rows=2, validation_share=None, seed=0, fold=fold_prompt_0_1)


def test_greetings_do_not_put_rows_into_one_fold() -> None:
    greeted = [Comparison(("", text), ("Hi!", "a"), ("Hi!", "b")) for text in ("1 + 1?", "2 + 2?")]
    assert [row.folded_prompt for row in greeted] == ["1+1", "2+2"]
    with_system = Comparison(("S\n\n", "1 + 1?"), ("Hi!", "a"), ("Hi!", "b"), system="S")
    assert with_system.opening_prompt == "1 + 1?"
    assert Comparison(("S\n\np", "q"), ("a", "b"), ("c", "d"), system="S").opening_prompt == "S\n\np"
    assert Comparison(("", ""), ("a", "b"), ("c", "d")).opening_prompt == ""
    assert [side.opening_prompt for side in greeted[0].conversations] == ["1 + 1?"] * 2
