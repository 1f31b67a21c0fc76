"""What is said about the head that a base model brings along."""

from __future__ import annotations

from pathlib import Path

import pytest

from tiebreak.models import NANO, head_note
from tiebreak.models.heads import LABELS


@pytest.mark.parametrize(
    ("labels", "head", "reset", "expected"),
    [
        ({"LABEL_0": 0}, "pointwise", False, "its head is kept"),
        ({"LABEL_0": 0}, "pointwise", True, "its head is not used (model.reset_head=true)"),
        ({"LABEL_0": 0}, "pairwise", False, "other labels (LABEL_0) than model.head=pairwise has, so the head is new"),
        (LABELS["pairwise"], "pairwise", False, "its head is kept"),
        ({"good": 0, "bad": 1, "ugly": 2}, "pairwise", False, "other labels (good, bad, ugly)"),
    ],
)
def test_heads_of_classifiers_are_named(
    tmp_path: Path, labels: dict[str, int], head: str, reset: bool, expected: str
) -> None:
    from transformers import LlamaConfig

    names = {index: label for label, index in labels.items()}
    config = LlamaConfig(architectures=["LlamaForSequenceClassification"], id2label=names, label2id=labels)
    config.save_pretrained(tmp_path)
    note = head_note(str(tmp_path), None, head, reset=reset)  # type: ignore[arg-type]
    assert note is not None
    assert expected in note


def test_a_base_model_has_no_head() -> None:
    assert head_note(NANO, None, "pairwise", reset=False) is None
