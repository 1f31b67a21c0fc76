"""A transformers Trainer whose step learns from exactly `batch_size` comparisons, in as many passes as memory needs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np
import torch
from peft import PeftModel
from torch import Tensor, distributed, nn
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
from tiebreak.training.throughput import Throughput

if TYPE_CHECKING:
    from numpy.typing import NDArray


TIE_RATE: Final = 100.0
"""The tie parameter's learning rate is so many times the others'. An optimiser moves every number by about its rate a
step, and rewards, which are sums of thousands of products, by far more."""


class JudgeTrainer(Trainer):
    """Learns from votes by cross-entropy, with the exact mean gradient over a step's comparisons.

    The gradient depends neither on `budget` (how many tokens go through at once), nor on how the step's sequences are
    packed, nor on the number of GPUs. A step that runs out of memory is repeated with half the budget.

    Args:
        model: the adapted classifier.
        args: with `per_device_train_batch_size` = this process's comparisons a step, and no accumulation.
        train: examples to learn from.
        validation: examples to validate on; the first order of each is judged.
        batch_size: comparisons a step, over all processes.
        center_rewards_coefficient: of a pointwise head: the loss gains this times the mean of (r_A + r_B)^2 (Eisenstein
            et al. 2023, "Helping or herding?", appendix A; TRL's RewardTrainer has it by the same name).
        compute_dtype: the type of matrix products.
        budget: tokens a pass.
        folder: where the history is kept.
        callbacks: more transformers callbacks.
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
        self._network = model  # `self.model`, by its type
        self._head = judge_head(model)
        self._texts = texts_per_vote(self._head)
        self._centering = center_rewards_coefficient
        self._sampler = StepSampler(len(train), batch_size=batch_size, seed=args.seed)
        self._train, self._validation = list(train), list(validation)
        self._compute_dtype = compute_dtype
        self._budget = budget
        self._pace = Throughput()
        linear = (m for m in model.modules() if isinstance(m, nn.Linear))  # 4-bit weights keep their sizes here
        self._body_weights = sum(m.in_features * m.out_features for m in linear)
        super().__init__(
            model=model,
            args=args,
            train_dataset=self._train,
            eval_dataset=self._validation,
            callbacks=[EpochOrder(self._sampler), HistoryWriter(folder), *callbacks],
        )
        # Without DistributedDataParallel: it would broadcast the whole frozen base and keep gradient buckets beside the
        # sum made here. Processes begin alike since they drew the same fresh weights under the same seed.
        self.accelerator.prepare_model = partial(self.accelerator.prepare_model, evaluation_mode=True)

    def get_train_dataloader(self) -> DataLoader[Any]:
        """Whole steps, the same on every process; `training_step` takes this process's share."""
        return DataLoader(
            self._train,  # type: ignore[arg-type]  # any sequence is a map-style dataset
            batch_sampler=self._sampler,
            collate_fn=lambda examples: {"examples": examples},
        )

    def training_step(
        self, model: nn.Module, inputs: dict[str, Any], num_items_in_batch: Tensor | int | None = None
    ) -> Tensor:
        """Accumulate one step's gradient; returns the step's mean loss as the Trainer logs it (mean over processes)."""
        examples: list[Example] = inputs["examples"]
        share = examples[self.args.process_index :: self.args.world_size]
        sequences = [ids for example in share for ids in example.sequences]
        if not self._network.training:  # it takes a while to tell every module
            self._network.train()
        loss: Tensor = self._budget.run(
            lambda tokens: self._accumulate(share, comparisons=len(examples), tokens_per_pass=tokens),
            longest=max((example.longest for example in share), default=0),
            undo=lambda: self._network.zero_grad(set_to_none=True),
        )
        self._pace.add(tokens=sum(len(ids) for ids in sequences))
        if self.args.world_size > 1:
            self._sum_gradients()
        return torch.mul(loss, self.args.world_size)

    def _accumulate(self, share: list[Example], *, comparisons: int, tokens_per_pass: int) -> Tensor:
        """Add the gradient of this share's part of the mean over so many comparisons; returns that part of the loss."""
        sequences = [ids for example in share for ids in example.sequences]
        groups = [i for i, example in enumerate(share) for _ in example.sequences]
        # A vote's part of the mean: weights and votes stay on the host until their pass, so that no copy waits for one.
        parts = np.array(
            [np.divide(vote, comparisons * len(e.votes)) for e in share for vote in e.votes], np.float32
        )  # fmt: skip
        margins = np.array([np.multiply(e.margin, vote) for e in share for vote in e.votes], np.float32)
        total = torch.zeros((), device=self.args.device)
        if not share:  # of a last step with fewer comparisons than GPUs: a gradient scaler wants to have seen a loss
            trained = next(p for p in self._network.parameters() if p.requires_grad)
            self.accelerator.backward(0 * trained.sum())
        for item in pack(sequences, tokens_per_pass=tokens_per_pass, groups=groups, together=self._texts > 1):
            outputs, votes = self._by_vote(pack_logits(self._network, item, self._compute_dtype), item)
            judged = outputs
            if margins.any():  # the preferred answer has to win by its margin (Touvron et al. 2023, section 3.2.2)
                judged = outputs - self._on_device(margins[votes, :2, None])
            part = self._on_device(parts[votes])
            # What nobody voted for costs nothing, even where it is impossible and its logarithm -inf.
            log_loss_per_row = log_softmax(vote_logits(self._head, judged), dim=-1).masked_fill(part == 0, 0.0)
            loss = -(part * log_loss_per_row).sum()
            total += loss.detach()
            if self._texts > 1 and self._centering:
                loss = loss + self._centering / comparisons * outputs.sum(dim=(1, 2)).square().sum()
            self.accelerator.backward(loss)
        return total

    def _by_vote(self, outputs: Tensor, item: Pack) -> tuple[Tensor, NDArray[np.int64]]:
        """A pack's outputs, [votes, texts a vote, labels], and which votes of the share these are, [votes]."""
        if self._texts == 1:
            return outputs[:, None], item.sequences
        order = np.argsort(item.sequences)  # the texts of a vote side by side
        votes = item.sequences[order][:: self._texts] // self._texts
        return outputs[self._on_device(order)].view(len(votes), self._texts, -1), votes

    def _on_device(self, array: NDArray[Any]) -> Tensor:
        """A copy that nobody waits for."""
        tensor = torch.from_numpy(array)
        device = self.args.device
        return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        """The recipe's, with the tie parameter at a rate of its own and never decayed."""
        fresh = self.optimizer is None
        optimizer: torch.optim.Optimizer = super().create_optimizer(model)
        tie = self._head.tie_parameter if isinstance(self._head, RewardHead) else None
        if tie is not None and fresh:
            for group in optimizer.param_groups:
                group["params"] = [parameter for parameter in group["params"] if parameter is not tie]
            rate = optimizer.param_groups[0]["lr"] * TIE_RATE
            optimizer.add_param_group({"params": [tie], "lr": rate, "weight_decay": 0.0})
        return optimizer

    def _sum_gradients(self) -> None:
        """Sum gradients over processes: each holds its share's part of one mean.

        Once a step, when no pass can run out of memory any more.
        """
        trained = [p for p in self._network.parameters() if p.requires_grad]
        flat = torch.cat([torch.zeros_like(p).flatten() if p.grad is None else p.grad.flatten() for p in trained])
        distributed.all_reduce(flat)
        for parameter, gradient in zip(trained, torch.split(flat, [p.numel() for p in trained]), strict=True):
            parameter.grad = gradient.view_as(parameter).to(parameter.dtype)

    def evaluate(
        self, eval_dataset: Any = None, ignore_keys: list[str] | None = None, metric_key_prefix: str = "eval"
    ) -> dict[str, float]:
        """Judge the validation examples in their first order and log how good that was."""
        examples = self._validation if eval_dataset is None else list(eval_dataset)
        started = time.monotonic()
        probabilities = self.judge(examples)
        measured = preference_metrics(probabilities, [example.votes[0] for example in examples])
        metrics = {f"{metric_key_prefix}_{name}": value for name, value in measured.items()}
        metrics[f"{metric_key_prefix}_runtime"] = time.monotonic() - started
        self._pace.pause(metrics[f"{metric_key_prefix}_runtime"])
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def judge(self, examples: Sequence[Example]) -> NDArray[np.float64]:
        """Probabilities [examples, 3] of each example's first order, computed by all processes together."""
        return self.probabilities(self.outputs(examples))

    def probabilities(self, outputs: NDArray[np.float64]) -> NDArray[np.float64]:
        """[examples, 3] over (A, B, tie), from `outputs`."""
        with torch.no_grad():
            logits = vote_logits(self._head, torch.from_numpy(outputs).to(self._head.weight.device))
            return cast("NDArray[np.float64]", softmax(logits, dim=-1).cpu().numpy())

    def outputs(self, examples: Sequence[Example]) -> NDArray[np.float64]:
        """What the head gives for each example's first order, [examples, texts a vote, labels], by all processes."""
        share = examples[self.args.process_index :: self.args.world_size]
        outputs = predict_logits(
            self._network,
            [ids for example in share for ids in example.sequences[: self._texts]],
            compute_dtype=self._compute_dtype,
            budget=self._budget,
            groups=[i for i, _ in enumerate(share) for _ in range(self._texts)],
        ).reshape(len(share), self._texts, -1)
        everything = np.empty((len(examples), *outputs.shape[1:]))
        if self.args.world_size == 1:
            everything[:] = outputs
        else:
            parts: list[Any] = [None] * self.args.world_size
            distributed.all_gather_object(parts, outputs)
            for process, part in enumerate(parts):
                everything[process :: self.args.world_size] = part
        if not np.isfinite(everything).all():
            raise ModelError(
                f"The model's outputs are not finite after {self.state.global_step:,} steps: training diverged, or "
                f"{str(self._compute_dtype).removeprefix('torch.')} is too narrow for this model. Start a new run with "
                "a lower training.learning_rate, with training.max_grad_norm=1, or with model.compute_dtype=float32."
            )
        return everything

    def restore(self, checkpoint: Path) -> None:
        """Load adapter and head of a checkpoint, and nothing else of it."""
        self._load_from_checkpoint(str(checkpoint))

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add how fast training goes to what is logged of it."""
        if "loss" in logs:
            logs.update(self._pace.measure(self.args.world_size))
        super().log(logs, start_time)

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        """This process's part of a step, attention aside: 4 FLOP a body weight and token (2 forward, 2 backward)."""
        share = inputs["examples"][self.args.process_index :: self.args.world_size]
        return 4 * self._body_weights * sum(len(ids) for example in share for ids in example.sequences)

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        with translate_write_errors(Path(self.args.output_dir or ".")):
            super()._save_checkpoint(model, trial)

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        if self.args.should_save:
            target = Path(output_dir or self.args.output_dir or ".")
            target.mkdir(parents=True, exist_ok=True)
            save_adapter(self._network, target)
