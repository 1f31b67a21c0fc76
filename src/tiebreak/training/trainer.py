"""A transformers Trainer whose step learns from exactly `batch_size` comparisons, in as many passes as memory requires.

`trainer_overrides` lists what is overridden outside the Trainer's documented hooks.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np
import torch
from peft import PeftModel
from torch import Tensor, nn
from torch.nn.functional import log_softmax, softmax
from torch.utils.data import DataLoader
from transformers import Trainer, TrainerCallback, TrainingArguments

from tiebreak.errors import ModelError
from tiebreak.metrics import preference_metrics
from tiebreak.models import (
    RewardHead,
    TokenBudget,
    judge_head,
    pack_logits,
    predict_logits,
    save_adapter,
    texts_per_vote,
    vote_logits,
)
from tiebreak.runs import RunFolder, translate_write_errors
from tiebreak.text import Pack, pack
from tiebreak.training.batches import Example, StepSampler
from tiebreak.training.callbacks import EpochOrder, HistoryWriter
from tiebreak.training.distributed import gather_shares, sum_gradients
from tiebreak.training.throughput import Throughput
from tiebreak.training.trainer_overrides import disable_model_wrapping

if TYPE_CHECKING:
    from numpy.typing import NDArray


TIE_LEARNING_RATE_FACTOR: Final = 100.0
"""The tie parameter's learning rate, as a multiple of the others'. An optimiser moves each parameter by about its rate
per step; rewards, which are sums of thousands of products, move by far more."""


class JudgeTrainer(Trainer):
    """Learns from votes by cross-entropy, with the exact mean gradient over a step's comparisons.

    The mean is weighted: sum(weight * loss) / sum(weight) over the step. A step whose weights are all 0
    has no gradient.

    The gradient does not depend on `budget` (tokens per pass), on how the step's sequences are packed, or on the number
    of processes. A step that runs out of memory is repeated with half the budget.

    Args:
        model: the adapted classifier.
        args: with `per_device_train_batch_size` = this process's comparisons per step, and no accumulation.
        train: examples to learn from.
        validation: examples to validate on, by the first order of each.
        batch_size: comparisons per step, over all processes.
        compute_dtype: the type of matrix products.
        budget: tokens per pass.
        folder: where the history is written.
        center_rewards_coefficient: for a pointwise head, adds this times the mean of (r_A + r_B)^2 to the loss
            (Eisenstein et al. 2023, "Helping or herding?", appendix A; as in TRL's RewardTrainer).
        callbacks: further transformers callbacks.
    """

    def __init__(
        self,
        model: PeftModel,
        args: TrainingArguments,
        *,
        train: Sequence[Example],
        validation: Sequence[Example],
        batch_size: int,
        compute_dtype: torch.dtype,
        budget: TokenBudget,
        folder: RunFolder,
        center_rewards_coefficient: float = 0.0,
        callbacks: Sequence[TrainerCallback] = (),
    ) -> None:
        self.network = model  # `self.model`, with its type
        self._head = judge_head(model)
        self._texts = texts_per_vote(self._head)
        self._centering = center_rewards_coefficient
        self._sampler = StepSampler(len(train), batch_size=batch_size, seed=args.seed)
        self._train, self._validation = list(train), list(validation)
        self._compute_dtype = compute_dtype
        self._budget = budget
        self._throughput = Throughput()
        linear = (m for m in model.modules() if isinstance(m, nn.Linear))  # 4-bit weights keep their sizes here
        self._body_weights = sum(m.in_features * m.out_features for m in linear)
        super().__init__(
            model=model,
            args=args,
            train_dataset=self._train,
            eval_dataset=self._validation,
            callbacks=[EpochOrder(self._sampler), HistoryWriter(folder), *callbacks],
        )
        disable_model_wrapping(self)

    def get_train_dataloader(self) -> DataLoader[Any]:
        """One batch per step, the same on every process; `training_step` takes this process's share."""
        return DataLoader(
            self._train,  # type: ignore[arg-type]  # any sequence is a map-style dataset
            batch_sampler=self._sampler,
            collate_fn=lambda examples: {"examples": examples},
        )

    def training_step(
        self, model: nn.Module, inputs: dict[str, Any], num_items_in_batch: Tensor | int | None = None
    ) -> Tensor:
        """Accumulate one step's gradient; returns the mean loss, scaled because the Trainer averages over processes."""
        examples: list[Example] = inputs["examples"]
        share = examples[self.args.process_index :: self.args.world_size]
        total_weight = sum(example.weight for example in examples)
        if not self.network.training:  # `train()` visits every module, which takes a while
            self.network.train()
        loss: Tensor = self._budget.run(
            lambda tokens: self._accumulate(share, total_weight=total_weight, tokens_per_pass=tokens),
            longest=max((example.longest for example in share), default=0),
            undo=lambda: self.network.zero_grad(set_to_none=True),
        )
        self._throughput.add(tokens=sum(len(ids) for example in share for ids in example.sequences))
        if self.args.world_size > 1:  # once per step: no pass can run out of memory any more
            sum_gradients(p for p in self.network.parameters() if p.requires_grad)
        return torch.mul(loss, self.args.world_size)

    def _accumulate(self, share: list[Example], *, total_weight: float, tokens_per_pass: int) -> Tensor:
        """Add the gradient of this share's part of the mean over the step; returns that part of the loss.

        Args:
            share: this process's comparisons.
            total_weight: the sum of the weights of the step's comparisons.
            tokens_per_pass: tokens that go through the model at once.
        """
        total_weight = total_weight or 1.0  # without any weight all targets are 0
        sequences = [ids for example in share for ids in example.sequences]
        groups = [i for i, example in enumerate(share) for _ in example.sequences]
        # Votes times their share of the step's weight. They stay on the host until their pass, so that no copy blocks.
        targets = np.array(
            [np.multiply(e.weight, vote) / (total_weight * len(e.votes)) for e in share for vote in e.votes], np.float32
        )
        weights = np.array([e.weight for e in share for _ in e.votes], np.float32)
        margins = np.array([np.multiply(e.margin, vote) for e in share for vote in e.votes], np.float32)
        total = torch.zeros((), device=self.args.device)
        if not share:  # fewer comparisons than processes: the gradient scaler still needs a loss
            trained = next(p for p in self.network.parameters() if p.requires_grad)
            self.accelerator.backward(0 * trained.sum())
        for item in pack(sequences, tokens_per_pass=tokens_per_pass, groups=groups, together=self._texts > 1):
            outputs, votes = self._group_by_vote(pack_logits(self.network, item, self._compute_dtype), item)
            compared = outputs
            if margins.any():  # the preferred answer has to win by its margin (Touvron et al. 2023, section 3.2.2)
                compared = outputs - self._on_device(margins[votes, :2, None])
            target = self._on_device(targets[votes])
            # 0 * -inf is nan: an outcome without a vote costs nothing, even where the tie model excludes it.
            log_probabilities = log_softmax(vote_logits(self._head, compared), dim=-1).masked_fill(target == 0, 0.0)
            loss = -(target * log_probabilities).sum()
            total += loss.detach()
            if self._texts > 1 and self._centering:
                squares = self._on_device(weights[votes]) * outputs.sum(dim=(1, 2)).square()
                loss = loss + self._centering / total_weight * squares.sum()
            self.accelerator.backward(loss)
        return total

    def _group_by_vote(self, outputs: Tensor, item: Pack) -> tuple[Tensor, NDArray[np.int64]]:
        """A pack's outputs, [votes, texts per vote, labels], and the indices of these votes in the share, [votes]."""
        if self._texts == 1:
            return outputs[:, None], item.sequences
        order = np.argsort(item.sequences)  # the texts of a vote become neighbours
        votes = item.sequences[order][:: self._texts] // self._texts
        return outputs[self._on_device(order)].view(len(votes), self._texts, -1), votes

    def _on_device(self, array: NDArray[Any]) -> Tensor:
        """A copy that does not block the host."""
        tensor = torch.from_numpy(array)
        device = self.args.device
        return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        """The recipe's optimiser, with a separate learning rate and no weight decay for the tie parameter."""
        is_new = self.optimizer is None
        optimizer: torch.optim.Optimizer = super().create_optimizer(model)
        tie = self._head.tie_parameter if isinstance(self._head, RewardHead) else None
        if tie is not None and is_new:
            for group in optimizer.param_groups:
                group["params"] = [parameter for parameter in group["params"] if parameter is not tie]
            rate = optimizer.param_groups[0]["lr"] * TIE_LEARNING_RATE_FACTOR
            optimizer.add_param_group({"params": [tie], "lr": rate, "weight_decay": 0.0})
        return optimizer

    def evaluate(
        self, eval_dataset: Any = None, ignore_keys: list[str] | None = None, metric_key_prefix: str = "eval"
    ) -> dict[str, float]:
        """Judge the first order of the validation examples and log the metrics."""
        examples = self._validation if eval_dataset is None else list(eval_dataset)
        started = time.monotonic()
        probabilities = self.judge(examples)
        votes, weights = [example.votes[0] for example in examples], [example.weight for example in examples]
        measured = preference_metrics(probabilities, votes, weights)
        metrics = {f"{metric_key_prefix}_{name}": value for name, value in measured.items()}
        metrics[f"{metric_key_prefix}_runtime"] = time.monotonic() - started
        self._throughput.exclude(metrics[f"{metric_key_prefix}_runtime"])
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def judge(self, examples: Sequence[Example]) -> NDArray[np.float64]:
        """Probabilities [examples, 3] for the first order of each example; all processes share the work."""
        return self.probabilities(self.outputs(examples))

    def probabilities(self, outputs: NDArray[np.float64]) -> NDArray[np.float64]:
        """Probabilities [examples, 3] over (A, B, tie) of `outputs`."""
        with torch.no_grad():
            logits = vote_logits(self._head, torch.from_numpy(outputs).to(self._head.weight.device))
            return cast("NDArray[np.float64]", softmax(logits, dim=-1).cpu().numpy())

    def outputs(self, examples: Sequence[Example]) -> NDArray[np.float64]:
        """The head's outputs for the first order of each example, [examples, texts per vote, labels].

        All processes share the work, and each gets all rows.

        Raises:
            ModelError: an output is not finite.
        """
        share = examples[self.args.process_index :: self.args.world_size]
        logits = predict_logits(
            self.network,
            [ids for example in share for ids in example.sequences[: self._texts]],
            compute_dtype=self._compute_dtype,
            budget=self._budget,
            groups=[i for i, _ in enumerate(share) for _ in range(self._texts)],
        )
        outputs = logits.reshape(len(share), self._texts, logits.shape[-1]).astype(np.float64)
        if self.args.world_size > 1:
            outputs = gather_shares(outputs, len(examples))
        if not np.isfinite(outputs).all():
            raise ModelError(
                f"The model's outputs are not finite after {self.state.global_step:,} steps: training diverged, or "
                f"{str(self._compute_dtype).removeprefix('torch.')} is too narrow for this model. Start a new run with "
                "a lower training.learning_rate, with training.max_grad_norm=1, or with model.compute_dtype=float32."
            )
        return outputs

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add the training speed to the logged values."""
        if "loss" in logs:
            logs.update(self._throughput.measure(self.args.world_size))
        super().log(logs, start_time)

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        """FLOP of this process's share of a step without attention: 4 per body weight and token (2 each way)."""
        share = inputs["examples"][self.args.process_index :: self.args.world_size]
        return 4 * self._body_weights * sum(len(ids) for example in share for ids in example.sequences)

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        with translate_write_errors(Path(self.args.output_dir or ".")):
            super()._save_checkpoint(model, trial)

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        if self.args.should_save:
            target = Path(output_dir or self.args.output_dir or ".")
            target.mkdir(parents=True, exist_ok=True)
            save_adapter(self.network, target)
