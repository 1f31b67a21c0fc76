"""Llama 4 scales queries by their index in the pass; a text's place in a pack must not matter."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.unit.models.families import LLAMA4, SIZES
from tiebreak.models import pack_logits
from tiebreak.models.loading import load_base
from tiebreak.text import pack


def test_logits_do_not_depend_on_the_index_in_the_pack(tmp_path: Path) -> None:
    from transformers import CONFIG_MAPPING, AutoModel

    options = {**SIZES, **LLAMA4, "attention_chunk_size": 100, "floor_scale": 101, "no_rope_layers": [1, 0, 1, 0]}
    torch.manual_seed(0)
    plain = AutoModel.from_config(CONFIG_MAPPING["llama4_text"](**options), attn_implementation="eager").eval()
    for parameter in plain.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    plain.save_pretrained(tmp_path)
    model = load_base(str(tmp_path), precision="fp32", device=torch.device("cpu")).eval()
    rng = np.random.default_rng(0)
    texts = [rng.integers(5, 120, size=n, dtype=np.int32) for n in (100, 90, 100, 80)]
    [item] = pack(texts, tokens_per_pass=400, groups=[0, 1, 2, 3])
    with torch.no_grad():
        packed = pack_logits(model, item, torch.float32)
        hidden = [
            plain(input_ids=torch.as_tensor(texts[i]).long()[None]).last_hidden_state[0, -1] for i in item.sequences
        ]
        expected = model.score(torch.stack(hidden))
    assert packed.numpy() == pytest.approx(expected.numpy(), abs=1e-5 * float(expected.abs().max()))
