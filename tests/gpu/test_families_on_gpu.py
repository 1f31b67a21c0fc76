"""Families that the fused layers do not cover, on the GPU: packed logits against the plain model's in float32."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.unit.models.families import FAMILIES, save_checkpoint
from tests.unit.models.test_families import packed, plain_logits, texts
from tiebreak.models import load_base, pack_logits
from tiebreak.text import pack

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]

NAMES = ["gemma3", "gemma4", "llama4", "mistral3", "mixtral", "qwen3", "phi3", "olmo3", "granite", "glm4", "cohere2",
         "deepseek-v3", "gpt-oss", "gpt2"]  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", NAMES)
def test_packed_logits_on_the_gpu_are_near_those_in_float32(name: str, tmp_path: Path) -> None:
    save_checkpoint(FAMILIES[name], tmp_path)
    device = torch.device("cuda")
    exact = load_base(str(tmp_path), precision="fp32", device=torch.device("cpu")).eval()
    wanted = plain_logits(tmp_path, exact.score.weight).detach()
    in_float32 = load_base(str(tmp_path), precision="fp32", device=device).eval()
    with torch.no_grad():
        torch.testing.assert_close(packed(in_float32), wanted, atol=1e-3, rtol=1e-3)
    rounded = load_base(str(tmp_path), precision="bf16", device=device).eval()
    ids, groups = texts()
    outputs = torch.empty(len(ids), 3)
    with torch.no_grad():
        for item in pack(ids, tokens_per_pass=sum(map(len, ids)), groups=groups):
            logits = pack_logits(rounded, item, torch.bfloat16).cpu()
            outputs = outputs.index_put((torch.as_tensor(item.sequences),), logits)
    assert (outputs - wanted).abs().max() < 0.15 * wanted.abs().max()
