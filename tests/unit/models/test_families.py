"""Every family of base models is used with right numbers, or refused before its weights are loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoModelForSequenceClassification

from tests.unit.models.families import FAMILIES, save_checkpoint, table
from tiebreak.errors import ModelError
from tiebreak.export.merge import as_transformers_classifier
from tiebreak.models import TextClassifier, add_adapter, check_base, load_base, lora_config, pack_logits
from tiebreak.models.checkpoints import load_trained
from tiebreak.models.layer_stack import layer_stack
from tiebreak.models.lora import save_adapter
from tiebreak.text import pack

CPU = torch.device("cpu")
USED = [name for name, family in FAMILIES.items() if not family.refused]
REFUSED = [name for name, family in FAMILIES.items() if family.refused]


def texts() -> tuple[list[np.ndarray], list[int]]:
    """Two texts with a common beginning and three others, longer than every window of the families."""
    rng = np.random.default_rng(3)
    draw = lambda n: rng.integers(3, 128, size=n).astype(np.int32)  # noqa: E731
    prefix = draw(12)
    return [*(np.concatenate([prefix, draw(n)]) for n in (9, 21)), draw(17), draw(1), draw(5)], [0, 0, 1, 2, 3]


def packed(model: torch.nn.Module) -> torch.Tensor:
    ids, groups = texts()
    outputs = torch.empty(len(ids), 3)
    for item in pack(ids, tokens_per_pass=sum(map(len, ids)), groups=groups):
        outputs = outputs.index_put((torch.as_tensor(item.sequences),), pack_logits(model, item, torch.float32).cpu())
    return outputs


def plain_logits(folder: Path, head: torch.Tensor) -> torch.Tensor:
    """transformers' own model, with its eager attention, one text at a time."""
    model: Any = AutoModel.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32).eval()
    if model.config.get_text_config() is not model.config:
        model = model.language_model
    with torch.no_grad():
        hidden = [
            model(torch.as_tensor(ids).long()[None], use_cache=False).last_hidden_state[0, -1] for ids in texts()[0]
        ]
    return torch.stack(hidden) @ head.T


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", USED)
def test_packs_give_the_plain_models_logits_before_and_after_training(name: str, tmp_path: Path) -> None:
    family = FAMILIES[name]
    save_checkpoint(family, tmp_path / "base")
    base_name = str(tmp_path / "base")
    check_base(base_name, None, precision="fp32", max_length=family.max_length)
    base = load_base(base_name, precision="fp32", device=CPU)
    assert isinstance(base, TextClassifier)
    with torch.no_grad():
        wanted = plain_logits(tmp_path / "base", base.score.weight)
        torch.testing.assert_close(packed(base.eval()), wanted, atol=1e-5, rtol=1e-5)

    model = add_adapter(base, lora_config(r=2, lora_alpha=4, lora_dropout=0.0, target_modules="all-linear")).train()
    layer_stack(model).checkpoint(layer_stack(model).trained_layers)
    packed(model).square().sum().backward()
    trained = {key: value for key, value in model.named_parameters() if value.requires_grad}
    assert all(".lora_" in key or "score" in key for key in trained)
    assert all(value.grad is not None and value.grad.isfinite().all() for value in trained.values())
    with torch.no_grad():
        for value in trained.values():
            value.add_(torch.randn(value.shape, generator=torch.Generator().manual_seed(7)) * 0.05)
        after = packed(model.eval())
    assert not torch.allclose(after, wanted, atol=1e-3)

    save_adapter(model, tmp_path / "model")
    (tmp_path / "model" / "tiebreak.json").write_text(CARD)
    again = load_trained(load_base(base_name, precision="fp32", device=CPU), tmp_path / "model")
    with torch.no_grad():
        assert torch.equal(packed(again), after)
        if family.exported:
            as_transformers_classifier(again.merge_and_unload()).save_pretrained(tmp_path / "export")
            classifier = AutoModelForSequenceClassification.from_pretrained(
                tmp_path / "export", attn_implementation="eager", dtype=torch.float32
            )
            alone = [
                classifier.eval()(torch.as_tensor(ids).long()[None], use_cache=False).logits[0] for ids in texts()[0]
            ]
            torch.testing.assert_close(torch.stack(alone), after, atol=2e-5, rtol=1e-4)


CARD = """{"base_model": "x", "revision": null, "head": "pairwise", "precision": "fp32", "compute_dtype": "auto",
"template": "x", "max_length": 1, "tokens_per_pass": 1}"""


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", REFUSED)
def test_a_family_that_packs_would_change_is_refused_by_its_configuration(name: str, tmp_path: Path) -> None:
    family = FAMILIES[name]
    family.config().save_pretrained(tmp_path)
    with pytest.raises(ModelError) as refused:
        check_base(str(tmp_path), None, precision="fp32", max_length=family.max_length)
    assert family.refused in str(refused.value)


def test_the_documentation_has_the_table_of_families() -> None:
    page = Path(__file__).parents[3] / "docs" / "how-to" / "base-models.md"
    assert table() in page.read_text(encoding="utf-8")
