"""How far the outputs of an exported folder differ from those of the run's judge.

The folder is loaded from disk and run as any user would: by transformers' classes, in padded batches.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np
import torch
from scipy.special import softmax

from tiebreak.data import arithmetic_comparisons, load_votes
from tiebreak.errors import DataError, MemoryBudgetError, ModelError, RecipeError
from tiebreak.export.result import Drift
from tiebreak.judges import load_judge, probability_array
from tiebreak.metrics import cross_entropies
from tiebreak.models import LABELS, JudgeCard, card_encoder, default_device, load_tokenizer
from tiebreak.progress import cumulative_progress
from tiebreak.ranking import outcome_logits
from tiebreak.recipe import load_recipe
from tiebreak.runs import RunFolder, read_validation_rows
from tiebreak.text import CHAT
from tiebreak.training.splits import replay_split
from tiebreak.types import Comparison

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from transformers import PreTrainedTokenizerFast

MAX_ROWS: Final = 200
"""Maximum number of comparisons for measuring the drift."""

_TOKENS_PER_BATCH: Final = 4096
_TEXTS_PER_BATCH: Final = 16

OnProgress = Callable[[int, int], None]
"""Called with the number of texts that are done and the number of all texts."""


@dataclass(frozen=True)
class Outputs:
    """A judge's outputs for comparisons."""

    probabilities: NDArray[np.float64]
    """[rows, 3]"""
    rewards: NDArray[np.float64] | None
    """[rows, 2] for a reward model."""


def comparisons_to_measure_on(
    folder: RunFolder, on: Path | None, log: Callable[[str], None]
) -> tuple[str, list[Comparison]]:
    """The rows to measure on, at most `MAX_ROWS`, evenly spread, and a description of them.

    They come from the given file, else from the run's validation rows, else from built-in arithmetic comparisons.

    Raises:
        DataError: the given file cannot be read.
    """
    if on is not None:
        rows = list(load_votes(on, votes="optional", problem_rows="keep", setting=None, on_note=log).comparisons)
        return f"{'row' if len(rows) == 1 else 'rows'} of {on.name}", _spread(rows)
    validation_rows = read_validation_rows(folder)
    if validation_rows is not None:
        return "of the run's validation rows", _spread(validation_rows.comparisons)
    try:  # runs made by Tiebreak 0.1 keep no rows: split the votes again
        data = load_recipe(folder.recipe).data
        # The calibration split comes after the validation split and does not change it.
        data = data.model_copy(update={"calibration": None, "calibration_rows": None, "calibration_share": None})
        if data.validation is not None:  # the training file need not be read
            data = data.model_copy(update={"train": data.validation, "train_rows": None})
        return "of the run's validation rows", _spread(replay_split(data).validation)
    except (DataError, RecipeError, OSError, AssertionError) as error:
        log(
            f"The run's validation rows are not available ({str(error).partition(chr(10))[0]}). The drift is "
            "measured on built-in arithmetic comparisons, which are less informative. Give a file instead: "
            "--on VOTES."
        )
    sums = arithmetic_comparisons(60, seed=0, split="validation")
    return "built-in arithmetic comparisons (the run's validation rows were not available)", [
        Comparison(c.prompt, c.answer_a, c.answer_b, id=c.id) for c in sums
    ]


def _spread(rows: list[Comparison]) -> list[Comparison]:
    count = min(MAX_ROWS, len(rows))
    return [rows[i * len(rows) // count] for i in range(count)]


def judge_outputs(
    run: Path, base_model: str | None, card: JudgeCard, rows: Sequence[Comparison], on_progress: OnProgress
) -> Outputs:
    """The outputs of the run's judge, which is freed afterwards.

    Raises:
        RunError, ModelError, MemoryBudgetError: as in `load_judge` and `Judge.compare_many`.
    """
    judge = load_judge(run, base_model=base_model, calibrate=False)  # the logits of an export are not calibrated
    texts = judge.texts(len(rows), "none")
    advance = cumulative_progress(texts, on_progress)
    if card.rewards is None:
        verdicts = judge.compare_many(rows, on_progress=advance)
        outputs = Outputs(probability_array(verdicts), None)
    else:
        sides = [side for row in rows for side in row.conversations]
        scores = judge.score_many(sides, groups=[i // 2 for i in range(texts)], on_progress=advance)
        outputs = _of_rewards(card, np.array([score.reward for score in scores]))
    del judge
    _free()
    return outputs


def exported_outputs(
    folder: Path, run: Path, base: str | None, card: JudgeCard, rows: Sequence[Comparison], on_progress: OnProgress
) -> tuple[Outputs, str]:
    """The outputs of an exported folder, and its compute type: float32, or bfloat16 if a GPU has too little memory.

    Args:
        folder: the export.
        run: the run's `model` folder, whose tokenizer and card make the texts.
        base: where the base model is, for a folder with an adapter only.
        card: the run's card.
        rows: the comparisons.
        on_progress: as `OnProgress`.

    Raises:
        MemoryBudgetError: it does not fit in the GPU's memory.
        ModelError: its outputs are not finite.
    """
    tokenizer = load_tokenizer(str(folder))
    texts = _texts(card, run, rows)
    device = default_device()
    outputs: NDArray[np.float64] | None = None
    for dtype in (torch.float32, torch.bfloat16) if device.type == "cuda" else (torch.float32,):
        with suppress(torch.OutOfMemoryError):
            outputs = _outputs(folder, base, card, tokenizer, texts, dtype, device, on_progress)
        _free()
        if outputs is not None:
            break
    if outputs is None:
        raise MemoryBudgetError(
            "The exported model does not fit in the GPU's memory without quantization, so its drift cannot be "
            "measured. Measure on the CPU (CUDA_VISIBLE_DEVICES=), or skip it: --skip-drift."
        )
    if not np.isfinite(outputs).all():
        raise ModelError(
            "The exported model's outputs are not finite. Export in another type: --dtype bfloat16 or float32."
        )
    if card.rewards is None:
        return Outputs(softmax(outputs, axis=-1), None), _name(dtype)
    return _of_rewards(card, outputs[:, 0]), _name(dtype)


def measure_drift(on: str, rows: Sequence[Comparison], before: Outputs, after: Outputs, dtype: str) -> Drift:
    """The drift between the outputs before and after the export."""
    distance = np.abs(after.probabilities - before.probabilities)
    changed = after.probabilities.argmax(axis=1) != before.probabilities.argmax(axis=1)
    voted = [(i, row.vote) for i, row in enumerate(rows) if row.vote is not None]
    losses = [
        float(cross_entropies(outputs.probabilities[[i for i, _ in voted]], [vote for _, vote in voted]).mean())
        if voted
        else None
        for outputs in (before, after)
    ]
    reward_distance = (
        None if before.rewards is None or after.rewards is None else np.abs(after.rewards - before.rewards)
    )
    return Drift(
        on=on,
        rows=len(rows),
        dtype=dtype,
        probability_mean=float(distance.mean()),
        probability_largest=float(distance.max()),
        answers_changed=int(changed.sum()),
        reward_mean=None if reward_distance is None else float(reward_distance.mean()),
        reward_largest=None if reward_distance is None else float(reward_distance.max()),
        loss_before=losses[0],
        loss_after=losses[1],
    )


def _of_rewards(card: JudgeCard, rewards: NDArray[np.float64]) -> Outputs:
    """Outputs from rewards of A and B in turn."""
    assert card.rewards is not None
    pairs = rewards.reshape(-1, 2)
    logits = outcome_logits(pairs[:, 0], pairs[:, 1], card.rewards.tie_model, card.rewards.tie_parameter)
    return Outputs(softmax(logits, axis=-1), pairs)


def _texts(card: JudgeCard, run: Path, rows: Sequence[Comparison]) -> list[str]:
    """The texts the run's judge reads, truncated as it truncates them."""
    encoder = card_encoder(card, load_tokenizer(str(run)))
    return [encoder.text(text) for row in rows for text in ((row,) if card.rewards is None else row.conversations)]


@torch.no_grad()
def _outputs(
    folder: Path,
    base: str | None,
    card: JudgeCard,
    tokenizer: PreTrainedTokenizerFast,
    texts: Sequence[str],
    dtype: torch.dtype,
    device: torch.device,
    on_progress: OnProgress,
) -> NDArray[np.float64]:
    """The model's logits, [texts, labels], in padded batches of texts of similar length."""
    from peft import PeftModel
    from transformers import AutoModelForSequenceClassification

    labels = len(LABELS[card.head])
    options = {"dtype": dtype, "device_map": {"": device}}
    model: Any
    if base is None:
        model = AutoModelForSequenceClassification.from_pretrained(folder, **options)
    else:
        model = AutoModelForSequenceClassification.from_pretrained(
            base, revision=card.revision, num_labels=labels, ignore_mismatched_sizes=True, **options
        )
        model.config.get_text_config().pad_token_id = tokenizer.pad_token_id
        model = PeftModel.from_pretrained(model, str(folder))
    model.eval()
    tokenise = partial(
        cast(Any, tokenizer), add_special_tokens=card.template != CHAT
    )  # a chat template has written them
    lengths = [len(ids) for ids in tokenise(list(texts))["input_ids"]]
    advance = cumulative_progress(len(texts), on_progress)
    outputs = np.empty((len(texts), labels))
    remaining = sorted(range(len(texts)), key=lambda i: lengths[i])
    while remaining:
        max_texts = 1 if tokenizer.pad_token is None else _TEXTS_PER_BATCH
        size = max(1, min(max_texts, _TOKENS_PER_BATCH // lengths[remaining[-1]]))
        batch, remaining = remaining[-size:], remaining[:-size]
        inputs = tokenise([texts[i] for i in batch], return_tensors="pt", padding=size > 1).to(device)
        outputs[batch] = model(**inputs).logits.float().cpu().numpy()
        advance(len(batch))
    return outputs


def _free() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
