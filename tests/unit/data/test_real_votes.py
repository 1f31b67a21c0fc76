"""Real human votes, if they are in the shared folder next to the checkout."""

from __future__ import annotations

from pathlib import Path

import pytest

from tiebreak.data import read_votes, summarise

DATA = Path(__file__).parents[4] / "shared" / "data"


@pytest.mark.parametrize(
    ("name", "rows", "shares", "empty_rows"),
    [
        ("human3way_train", 6810, (0.418, 0.390, 0.192), 55),
        ("human3way_dev", 833, (0.429, 0.389, 0.182), 0),
        ("lmsys_sample_dev", 347, (0.363, 0.320, 0.317), 0),
        ("hh_rlhf_test_2way", 8472, (0.496, 0.504, 0.0), 11),
    ],
)
def test_counts_and_shares(name: str, rows: int, shares: tuple[float, float, float], empty_rows: int) -> None:
    path = DATA / f"{name}.parquet"
    if not path.is_file():
        pytest.skip(f"no {path.name} beside the checkout")
    file = read_votes(path, votes="required")
    summary = summarise(file)
    assert (file.layout, file.rows, len(file.comparisons)) == ("lmsys", rows, rows)
    assert summary.shares is not None
    assert tuple(summary.shares.values()) == pytest.approx(shares, abs=0.0006)
    assert rows - summary.usable_rows == empty_rows
    assert summary.multi_turn_share is not None
    if name.startswith("hh"):
        assert summary.multi_turn_share == pytest.approx(0.693, abs=0.001)
