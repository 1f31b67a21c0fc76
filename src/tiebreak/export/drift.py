"""How far an exported folder's numbers are from those of the run's own judge.

The folder is read from the disk and run as a stranger would: by transformers' own classes, in padded batches.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from scipy.special import softmax

from tiebreak.data import arithmetic_comparisons, load_votes
from tiebreak.errors import DataError, MemoryBudgetError, ModelError, RecipeError
from tiebreak.export.chat_template import encoder_of
from tiebreak.export.result import Drift
from tiebreak.judges import load_judge, probability_array
from tiebreak.metrics import cross_entropies
from tiebreak.models import LABELS, JudgeCard, default_device, load_tokenizer
from tiebreak.progress import cumulative_progress
from tiebreak.ranking import outcome_logits
from tiebreak.recipe import load_recipe
from tiebreak.runs import RunFolder, read_validation_rows
from tiebreak.text import resolve_template
from tiebreak.training.splits import split_votes
from tiebreak.types import Comparison

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from transformers import PreTrainedTokenizerFast

MOST_ROWS: Final = 200
"""Comparisons the drift is measured on, at most."""

_TOKENS_A_BATCH: Final = 4096
_TEXTS_A_BATCH: Final = 16

OnProgress = Callable[[int, int], None]
"""Called with how many texts are read, and how many there are."""


@dataclass(frozen=True)
class Numbers:
    """What a judge says of comparisons."""

    probabilities: NDArray[np.float64]
    """[rows, 3]"""
    rewards: NDArray[np.float64] | None
    """[rows, 2] of a pointwise judge."""


def comparisons_to_measure_on(
    folder: RunFolder, on: Path | None, log: Callable[[str], None]
) -> tuple[str, list[Comparison]]:
    """What to measure on, in words, and at most `MOST_ROWS` rows of it, evenly spread.

    A file that is named; else the run's validation rows, if their file is still there; else sums that Tiebreak makes.

    Raises:
        DataError: the file that is named cannot be read.
    """
    if on is not None:
        rows = list(load_votes(on, votes="optional", problem_rows="keep", setting=None, on_note=log).comparisons)
        return f"{'row' if len(rows) == 1 else 'rows'} of {on.name}", _spread(rows)
    kept = read_validation_rows(folder)
    if kept is not None:
        return "of the run's validation rows", _spread(kept.comparisons)
    try:  # runs made by Tiebreak 0.1 keep no rows: split the votes again
        data = load_recipe(folder.recipe).data
        # The calibration is split off after the validation, which is the same without.
        data = data.model_copy(update={"calibration": None, "calibration_rows": None, "calibration_share": None})
        if data.validation is not None:  # then the file to learn from need not be read
            data = data.model_copy(update={"train": data.validation, "train_rows": None})
        return "of the run's validation rows", _spread(split_votes(data, lambda _: None).validation)
    except (DataError, RecipeError, OSError, AssertionError) as error:
        log(
            f"The run's validation rows cannot be had any more ({str(error).partition(chr(10))[0]}): the drift is "
            "measured on sums, which say less. Name a file: --on VOTES."
        )
    sums = arithmetic_comparisons(60, seed=0, split="validation")
    return "built-in comparisons of sums (the run's validation rows were not there any more)", [
        Comparison(c.prompt, c.answer_a, c.answer_b, id=c.id) for c in sums
    ]


def _spread(rows: list[Comparison]) -> list[Comparison]:
    wanted = min(MOST_ROWS, len(rows))
    return [rows[i * len(rows) // wanted] for i in range(wanted)]


def judge_numbers(
    run: Path, base_model: str | None, card: JudgeCard, rows: Sequence[Comparison], on_progress: OnProgress
) -> Numbers:
    """What the run's own judge says; it is gone from memory afterwards.

    Raises:
        RunError, ModelError, MemoryBudgetError: as in `load_judge` and `Judge.compare_many`.
    """
    judge = load_judge(run, base_model=base_model, calibrate=False)  # as an export's logits are
    texts = judge.texts(len(rows), "none")
    advance = cumulative_progress(texts, on_progress)
    if card.rewards is None:
        verdicts = judge.compare_many(rows, on_progress=advance)
        numbers = Numbers(probability_array(verdicts), None)
    else:
        sides = [side for row in rows for side in row.conversations]
        scores = judge.score_many(sides, groups=[i // 2 for i in range(texts)], on_progress=advance)
        numbers = _of_rewards(card, np.array([score.reward for score in scores]))
    del judge
    _free()
    return numbers


def exported_numbers(
    folder: Path, base: str | None, card: JudgeCard, rows: Sequence[Comparison], on_progress: OnProgress
) -> tuple[Numbers, str]:
    """What an exported folder says, and what it computed in: float32, or on a GPU that cannot hold that, bfloat16.

    Args:
        folder: the export.
        base: of a folder that holds an adapter only, where the base model is.
        card: of the run.
        rows: to judge.
        on_progress: called while they are.

    Raises:
        MemoryBudgetError: it does not fit into the GPU's memory.
        ModelError: its numbers are not finite.
    """
    tokenizer = load_tokenizer(str(folder))
    texts = _texts(card, tokenizer, rows)
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
            "The exported model does not fit into the GPU's memory without quantisation, so that its drift cannot be "
            "measured. Hide the GPU (CUDA_VISIBLE_DEVICES=) to measure on the CPU, or leave it out: --skip-drift."
        )
    if not np.isfinite(outputs).all():
        raise ModelError(
            "The exported model's numbers are not finite. Export in another type: --dtype bfloat16 or float32."
        )
    if card.rewards is None:
        return Numbers(softmax(outputs, axis=-1), None), _name(dtype)
    return _of_rewards(card, outputs[:, 0]), _name(dtype)


def measure_drift(on: str, rows: Sequence[Comparison], before: Numbers, after: Numbers, dtype: str) -> Drift:
    """Compare what was said before and after."""
    distance = np.abs(after.probabilities - before.probabilities)
    changed = after.probabilities.argmax(axis=1) != before.probabilities.argmax(axis=1)
    voted = [(i, row.vote) for i, row in enumerate(rows) if row.vote is not None]
    losses = [
        float(cross_entropies(numbers.probabilities[[i for i, _ in voted]], [vote for _, vote in voted]).mean())
        if voted
        else None
        for numbers in (before, after)
    ]
    apart = None if before.rewards is None or after.rewards is None else np.abs(after.rewards - before.rewards)
    return Drift(
        on=on,
        rows=len(rows),
        dtype=dtype,
        probability_mean=float(distance.mean()),
        probability_largest=float(distance.max()),
        answers_changed=int(changed.sum()),
        reward_mean=None if apart is None else float(apart.mean()),
        reward_largest=None if apart is None else float(apart.max()),
        loss_before=losses[0],
        loss_after=losses[1],
    )


def _of_rewards(card: JudgeCard, rewards: NDArray[np.float64]) -> Numbers:
    """Rewards of A and B in turn -> numbers."""
    assert card.rewards is not None
    pairs = rewards.reshape(-1, 2)
    logits = outcome_logits(pairs[:, 0], pairs[:, 1], card.rewards.tie_model, card.rewards.tie_parameter)
    return Numbers(softmax(logits, axis=-1), pairs)


def _texts(card: JudgeCard, tokenizer: PreTrainedTokenizerFast, rows: Sequence[Comparison]) -> list[str]:
    """What the model reads, cut as the judge cuts it."""
    encoder = encoder_of(tokenizer, resolve_template(card.template, card.head), card.max_length)
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
    """The model's logits, [texts, labels], in padded batches of texts of like length; it is gone afterwards."""
    from peft import PeftModel
    from transformers import AutoModelForSequenceClassification

    labels = len(LABELS[card.head])
    place = {"dtype": dtype, "device_map": {"": device}}
    model: Any
    if base is None:
        model = AutoModelForSequenceClassification.from_pretrained(folder, **place)
    else:
        model = AutoModelForSequenceClassification.from_pretrained(
            base, revision=card.revision, num_labels=labels, ignore_mismatched_sizes=True, **place
        )
        model.config.get_text_config().pad_token_id = tokenizer.pad_token_id
        model = PeftModel.from_pretrained(model, str(folder))
    model.eval()
    lengths = [len(ids) for ids in tokenizer(list(texts))["input_ids"]]
    advance = cumulative_progress(len(texts), on_progress)
    outputs = np.empty((len(texts), labels))
    waiting = sorted(range(len(texts)), key=lambda i: lengths[i])
    while waiting:
        most = 1 if tokenizer.pad_token is None else _TEXTS_A_BATCH
        size = max(1, min(most, _TOKENS_A_BATCH // lengths[waiting[-1]]))
        batch, waiting = waiting[-size:], waiting[:-size]
        inputs = tokenizer([texts[i] for i in batch], return_tensors="pt", padding=size > 1).to(device)
        outputs[batch] = model(**inputs).logits.float().cpu().numpy()
        advance(len(batch))
    return outputs


def _free() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
