"""Pretrain the nano model from random weights: `python -m tiebreak.models.nano.pretrain --out FOLDER`.

The model learns to continue the texts of `tiebreak.models.nano.corpus`, which are generated and contain no human
writing: sums of two numbers with their answers, lists of one to three candidate answers followed by whether each is
right or wrong or by how many are right, and which of two numbers is larger. Every pair of operands occurs, so that
the model learns all sums. No text says which of two answers is better or that they tie: fine-tuning teaches
comparison. Most lists label the answers `Response_a`, `Response_b`, as the comparison template does.

A few minutes on a data-centre GPU. The same seed, steps and machine give the same weights.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import Gemma2Config, Gemma2ForCausalLM, PreTrainedTokenizerBase

from tiebreak.models.nano.corpus import Templates, compile_templates
from tiebreak.models.nano.tokenizer import PAD_ID, build_tokenizer

LEARNING_RATE: Final = 2e-3
_TEMPLATES: Final = 50_000


def nano_config(tokenizer: PreTrainedTokenizerBase) -> Gemma2Config:
    """A small Gemma 2; its sliding window is shorter than many texts, so that it has an effect."""
    return Gemma2Config(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=512,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=32,
        query_pre_attn_scalar=32,
        sliding_window=32,
        max_position_embeddings=1024,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )


def pretrain(
    model: Gemma2ForCausalLM, templates: Templates, *, steps: int, rows: int, seed: int, report_every: int = 1000
) -> None:
    """Train in place with AdamW on `rows` texts per step: linear warmup, then cosine decay to zero."""
    device = templates.ids.device
    generator = torch.Generator(device).manual_seed(seed)
    forward = torch.compile(model) if device.type == "cuda" else model
    matrices = [p for p in model.parameters() if p.ndim > 1]
    vectors = [p for p in model.parameters() if p.ndim <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}],
        lr=LEARNING_RATE,
        betas=(0.9, 0.98),
    )
    warmup = max(1, steps // 50)
    warm = torch.optim.lr_scheduler.LinearLR(optimizer, 1 / warmup, total_iters=warmup)
    fall = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(1, steps - warmup))
    schedule = torch.optim.lr_scheduler.SequentialLR(optimizer, [warm, fall], milestones=[warmup])
    started = time.monotonic()
    for step in range(1, steps + 1):
        ids, determined = templates.draw(rows, generator)
        loss = _loss(forward(input_ids=ids).logits, ids, determined)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
        if step % report_every == 0:
            seconds = time.monotonic() - started
            right = accuracy(model, templates, seed=seed + 1)
            print(f"step {step}: loss {loss.item():.4f}, verdicts right {right:.5f}, {seconds:.0f} s", flush=True)


@torch.no_grad()
def accuracy(model: Gemma2ForCausalLM, templates: Templates, *, seed: int, rows: int = 4096) -> float:
    """Accuracy on the yes/no questions whether a candidate is right.

    Measured on `rows` newly drawn texts. Other verdicts are excluded: their wording (right, correct) is random.
    """
    device = templates.ids.device
    ids, determined = templates.draw(rows, torch.Generator(device).manual_seed(seed))
    asked = determined & torch.isin(ids, templates.yes_no)
    right = [model(input_ids=part[:, :-1]).logits.argmax(-1) == part[:, 1:] for part in torch.split(ids, 256)]
    return torch.cat(right)[asked[:, 1:]].float().mean().item()


def _loss(logits: Tensor, ids: Tensor, determined: Tensor) -> Tensor:
    """Mean cross-entropy of all next tokens plus that of the determined ones: (rows, L, vocabulary), 2 (rows, L) -> ().

    Only one token in twenty is determined by the numbers before it. Most others are not predictable, so without the
    second term the determined tokens would be learned late.
    """
    predicted, target = logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten()
    only_determined = target.where(determined[:, 1:].flatten(), PAD_ID)
    return cross_entropy(predicted, target, ignore_index=PAD_ID) + cross_entropy(
        predicted, only_determined, ignore_index=PAD_ID
    )


def save(model: Gemma2ForCausalLM, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Write config.json, model.safetensors (bfloat16, as Gemma 2 is published), and the tokenizer's two files."""
    model.bfloat16().save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    tokenizer.save_pretrained(folder)


def main() -> None:
    """Train, save, and print the accuracy."""
    parser = argparse.ArgumentParser(prog="python -m tiebreak.models.nano.pretrain", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for the checkpoint and its tokenizer")
    parser.add_argument("--steps", type=int, default=12_000)
    parser.add_argument("--rows", type=int, default=512, help="texts per step")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()

    torch.manual_seed(arguments.seed)
    torch.set_float32_matmul_precision("high")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    tokenizer = build_tokenizer()
    templates = compile_templates(tokenizer, _TEMPLATES, seed=arguments.seed, device=device)
    model = Gemma2ForCausalLM(nano_config(tokenizer)).to(device)  # type: ignore[arg-type]
    parameters = sum(p.numel() for p in model.parameters())
    print(f"{parameters:,} parameters, texts of at most {templates.ids.shape[1]} tokens, on {device}", flush=True)
    pretrain(model, templates, steps=arguments.steps, rows=arguments.rows, seed=arguments.seed)
    right = accuracy(model, templates, seed=arguments.seed + 1)
    save(model, tokenizer, arguments.out)
    print(f"verdicts right: {right:.5f}; saved to {arguments.out}")


if __name__ == "__main__":
    main()
