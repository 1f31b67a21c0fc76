"""Averaging the adapters of several runs: their products are averaged, not their factors."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from pathlib import Path

import torch
from torch import Tensor

from tiebreak.errors import ModelError


def average_adapters(folders: Sequence[Path], into: Path) -> int:
    """Write the mean of adapters and heads, as one adapter in PEFT's format.

    LoRA adds s B A to a weight, and the mean of k such sums is (B_1 s_1/k ... B_k s_k/k) (A_1; ...; A_k): the factors
    concatenated, with the sum of the ranks. Averaging A and B separately would multiply factors that were not trained
    together. Heads, tie parameters and trained biases are averaged directly (Wortsman et al. 2022, "Model soups").

    Args:
        folders: the `model` folders of two or more runs, with adapters on the same layers of the same base.
        into: an existing folder.

    Returns:
        The new adapter's rank.

    Raises:
        ModelError: the adapters are on different layers, of different shapes, or not plain LoRA.
    """
    from peft import LoraConfig
    from safetensors.torch import load_file, save_file

    configs = [LoraConfig.from_pretrained(str(folder)) for folder in folders]
    weights = [load_file(folder / "adapter_model.safetensors") for folder in folders]
    for folder, config, tensors in zip(folders, configs, weights, strict=True):
        # PEFT keeps the ranks of all experts in one axis, so their factors cannot be concatenated.
        if config.use_dora or config.rank_pattern or config.alpha_pattern or config.target_parameters:
            raise ModelError(
                f"The adapter in {folder} is no plain LoRA of one rank, or is on experts: it cannot be averaged."
            )
        other = tensors.keys() ^ weights[0].keys()
        if other:
            raise ModelError(
                f"The adapters in {folders[0]} and {folder} are on different layers ({min(other)} is in one of them "
                "alone). Average runs of one recipe."
            )
    mean: dict[str, Tensor] = {}
    for name in weights[0]:
        parts = [tensors[name].float() for tensors in weights]
        if ".lora_A." in name:
            mean[name] = torch.cat(parts, dim=0)
        elif ".lora_B." in name:
            scales = (c.lora_alpha / (sqrt(c.r) if c.use_rslora else c.r) / len(parts) for c in configs)
            mean[name] = torch.cat([part * scale for part, scale in zip(parts, scales, strict=True)], dim=1)
        elif len({part.shape for part in parts}) == 1:
            mean[name] = torch.stack(parts).mean(dim=0)
        else:
            raise ModelError(
                f"{name} has different shapes in {folders[0]} and the other runs: these runs cannot be averaged."
            )
    rank = sum(int(config.r) for config in configs)
    first = configs[0]
    first.r, first.lora_alpha, first.use_rslora, first.inference_mode = rank, rank, False, True
    first.save_pretrained(str(into))
    save_file({name: tensor.contiguous() for name, tensor in mean.items()}, into / "adapter_model.safetensors",
              metadata={"format": "pt"})  # fmt: skip
    return rank
