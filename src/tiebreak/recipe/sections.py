"""The sections of a recipe: every key, its type, its bounds and its description.

Keys have the names of Hugging Face's TrainingArguments, LoraConfig and BitsAndBytesConfig if they mean the same.
`tiebreak train --keys` prints the descriptions.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from tiebreak.recipe.fields import (
    LocalPath,
    MaxSteps,
    ModelName,
    NameList,
    Positive,
    Section,
    Share,
    Steps,
    as_module_list,
)
from tiebreak.recipe.sources import TrainVotes, VotesPath


class ModelSection(Section):
    """The base model and its number formats."""

    name: ModelName = "nano"
    """A name on the Hugging Face hub (`google/gemma-2-9b`), a local folder, or `nano` for the built-in tiny Gemma 2."""
    revision: str | None = None
    """Branch, tag or commit on the hub."""
    head: Literal["pairwise", "pointwise"] = "pairwise"
    """`pairwise`: one sequence holds the prompt and both answers, and the head gives three logits at its last token.
    `pointwise`: one sequence holds the prompt and one answer, and the head gives its reward: a reward model."""
    tie_model: Literal["davidson", "rao-kupper", "bradley-terry"] = "davidson"
    """How two rewards of a pointwise head give the probabilities of a win and a tie: `davidson` (1970) or `rao-kupper`
    (1967), which learn the share of ties, or `bradley-terry` (1952) for votes without ties, the only one that supports
    margins of graded votes."""
    precision: Literal["nf4", "int8", "fp8", "bf16", "fp16", "fp32"] = "nf4"
    """Format of the frozen base weights. `nf4`: 4 bits with double quantisation (QLoRA). `fp8`: e4m3 with one scale per
    row and FP8 matrix products, the fastest on Ada, Hopper and later GPUs. `int8`: LLM.int8(), which chooses its
    outlier columns over a whole pass, so results vary slightly with the other sequences in the pass."""
    compute_dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto"
    """Data type of matrix products. `auto`: that of the weights, or for quantised weights bfloat16 on Ampere and later
    GPUs, float16 on older GPUs and float32 on the CPU."""
    start_from: LocalPath | None = None
    """Folder of an earlier run whose adapter and head are the starting point."""
    reset_head: bool = False
    """Initialise the head randomly, so that with `start_from` only the adapter of the earlier run is used."""

    @model_validator(mode="after")
    def _check_tie_model(self) -> ModelSection:
        if self.head == "pairwise" and "tie_model" in self.model_fields_set and self.tie_model != "davidson":
            raise ValueError(
                f"tie_model={self.tie_model} goes with model.head=pointwise: a pairwise head has no tie model"
            )
        return self


class LoraSection(Section):
    """The LoRA adapter, with the names of peft's LoraConfig."""

    r: Positive = 16
    """Rank of the matrices A and B."""
    lora_alpha: Positive = 16
    """The output of the adapter is scaled by alpha / r. The best value depends on the learning rate: 4 at 2e-4, 64 at
    6e-5."""
    lora_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Dropout before A."""
    target_modules: Annotated[list[str] | Literal["all-linear"], BeforeValidator(as_module_list)] = "all-linear"
    """Names of the layers to adapt."""
    bias: Literal["none", "all", "lora_only"] = "none"
    """Biases that are trained too."""
    use_rslora: bool = False
    """Scale by alpha / sqrt(r) instead of alpha / r."""
    layers_to_transform: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)] | None = None
    """Adapt only these decoder layers, counted from 0. Requires a list of `target_modules`."""

    @model_validator(mode="after")
    def _check_layers_to_transform(self) -> LoraSection:
        if self.layers_to_transform is not None and self.target_modules == "all-linear":
            raise ValueError(
                "layers_to_transform requires a list of target_modules, not all-linear: for instance "
                "lora.target_modules=[q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj]"
            )
        return self


class TextSection(Section):
    """How a comparison is rendered as text, and its maximum length."""

    template: str | None = None
    """A template with the slots {prompt}, {response_a} and {response_b}, or for a pointwise head {prompt} and
    {response}. `chat`: the base model's own chat template, with the system message and the turns as they were;
    two answers share one message. The default is a template that comes with Tiebreak."""
    max_length: Annotated[int, Field(ge=32)] = 2048
    """Maximum number of tokens of a comparison, or for a pointwise head of a prompt with one answer. Longer texts are
    cut, oldest turns first; cuts are marked in the text and counted."""


class DataSection(Section):
    """The votes for training, validation and calibration."""

    train: TrainVotes | None = None
    """Votes: a file (CSV, JSON lines or Parquet), a glob such as `votes/*.parquet`, or a data set on the Hugging Face
    hub (`org/name`, `org/name:split` or `org/name:config:split`). Or a list of these, whose entries may be
    `{path: ..., share: 0.3}`, to use a share of the prompts, or `{path: ..., weight: 2}`."""
    columns: dict[str, str] = Field(default_factory=dict)
    """Columns of the files of votes with other names than Tiebreak reads, such as `{prompt: question, winner: label,
    winner.0: model_a}`. Layouts of other projects need no mapping."""
    validation: VotesPath | None = None
    """A separate file or data set of votes for validation. Without it, rows are split off `train`, so that no prompt is
    in both."""
    train_rows: Positive | None = None
    """Use this many rows for training, chosen at random with `seed`, instead of all."""
    validation_rows: Positive | None = None
    """Validate on this many rows."""
    validation_share: Share | None = None
    """Validate on this share of `train`. Without `validation_rows` and this, a tenth of the rows, at most 1,000."""
    calibration: VotesPath | None = None
    """A file or data set of votes to calibrate the probabilities of the trained judge on. Without this and the next two
    keys there is no calibration; `tiebreak calibrate` can add one later."""
    calibration_rows: Positive | None = None
    """Calibrate on this many rows of `calibration`, or split off `train` by prompt and not used otherwise."""
    calibration_share: Share | None = None
    """Calibrate on this share of `train`, split off in the same way."""
    problem_rows: Literal["refuse", "skip", "keep"] = "refuse"
    """How to handle rows with problems. `refuse`: list them and stop. `skip`: leave them out and count them. `keep`:
    keep empty texts and repeated ids as they are; stop only for unreadable rows."""
    tool_calls: Literal["refuse", "text"] = "refuse"
    """How tool calls in answers of messages are handled. `refuse`: as a row with a problem. `text`: the answer is all
    that follows the last message of the user, with tool calls and results as text."""
    seed: int = 42
    """Seed of the split."""

    @field_validator("columns", mode="before")
    @classmethod
    def _check_columns(cls, value: object) -> object:
        if isinstance(value, str):
            raise ValueError("expected a mapping, such as {prompt: question, response_a: answer_1}")
        return value

    @model_validator(mode="after")
    def _check_validation(self) -> DataSection:
        if self.validation_share is not None and (self.validation is not None or self.validation_rows is not None):
            raise ValueError("validation_share splits rows off data.train: give it alone, or leave it out")
        return self

    @model_validator(mode="after")
    def _check_calibration(self) -> DataSection:
        if self.calibration_share is not None and (self.calibration is not None or self.calibration_rows is not None):
            raise ValueError("calibration_share splits rows off data.train: give it alone, or leave it out")
        return self


class TrainingSection(Section):
    """Optimisation, with the names of transformers' TrainingArguments."""

    batch_size: Positive = 8
    """Comparisons per optimiser step, over all GPUs. Changes the result, unlike `tokens_per_pass`."""
    tokens_per_pass: Annotated[int, Field(ge=32)] | Literal["auto"] = "auto"
    """Tokens that go through the model at once. Changes memory and speed, but not the result (except for random
    dropout). `auto` measures what fits into the GPU. Halved automatically if memory runs out."""
    both_orders: bool = False
    """Train on both orders of each comparison, A first and B first, in the same step, each with half the weight."""
    center_rewards_coefficient: Annotated[float, Field(ge=0)] = 0.0
    """For a pointwise head: coefficient of the mean of (r_A + r_B)^2, which is added to the loss to keep rewards
    centred at 0, since votes depend on their difference only. A common value is 0.01."""
    num_train_epochs: Annotated[float, Field(gt=0)] = 1
    """Number of passes over the training rows."""
    max_steps: MaxSteps = -1
    """Number of optimiser steps, instead of `num_train_epochs`; -1 to use epochs."""
    learning_rate: Annotated[float, Field(gt=0)] = 1e-4
    """The peak learning rate, after warm-up."""
    lr_scheduler_type: str = "linear"
    """Learning rate schedule: linear, cosine, constant, constant_with_warmup, polynomial, ..."""
    warmup_steps: Annotated[float, Field(ge=0)] = 0
    """Steps of linear warm-up; below 1 a share of all steps."""
    optim: str = "adamw_torch"
    """Optimiser, by its name in transformers: adamw_torch, paged_adamw_8bit, adafactor, ..."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """Weight decay of the adapter and the head, without biases."""
    max_grad_norm: Annotated[float, Field(ge=0)] = 1.0
    """Clip the norm of gradients to this value; 0 turns clipping off."""
    gradient_checkpointing: bool | Literal["auto"] = "auto"
    """Recompute activations in the backward pass instead of storing them: a third more time, much less memory. `auto`
    does this in as many layers as the memory of the GPU requires."""
    logging_steps: Steps = 20
    """Log the training loss every this many steps; below 1 a share of all steps, as for the next two keys."""
    eval_steps: Steps | None = None
    """Validate every this many steps; by default whenever a checkpoint is saved."""
    save_steps: Steps = 0.1
    """Save a checkpoint to resume from every this many steps."""
    save_total_limit: Positive | None = 2
    """Keep at most this many checkpoints, including the best one."""
    load_best_model_at_end: bool = True
    """Use the best checkpoint by `metric_for_best_model` as the judge, not the last one."""
    metric_for_best_model: Literal["loss", "accuracy"] = "loss"
    """Metric on the validation rows: `loss` (log loss) or `accuracy`."""
    early_stopping_patience: Positive | None = None
    """Stop after this many validations without an improvement of `metric_for_best_model`."""
    report_to: NameList = Field(default_factory=lambda: ["tensorboard"])
    """Experiment loggers of transformers: tensorboard, wandb, mlflow, comet_ml, ..."""
    seed: Annotated[int, Field(ge=0)] = 42
    """Seed of the new weights, the order of the rows and dropout."""
    trainer_arguments: dict[str, Any] = Field(default_factory=dict)
    """Any other arguments of TrainingArguments, by name."""


class BaselineSection(Section):
    """A baseline instead of a language model, with the names of scikit-learn."""

    kind: Literal["prior", "length", "tfidf", "trees"]
    """`prior`: the shares of the outcomes. `length`: logistic regression on differences in length and format. `tfidf`:
    logistic regression on the words in which the answers differ, and those of the prompt. `trees`: gradient-boosted
    trees on about 200 features of both answers, topics, and the prediction of `tfidf`."""
    C: Annotated[float, Field(gt=0)] = 0.1
    """Inverse regularisation strength of a logistic regression (`length`, `tfidf`, and the `tfidf` in `trees`)."""
    min_df: Positive = 3
    """Ignore words that occur in fewer texts (`tfidf`, `trees`)."""
    max_words: Positive = 20_000
    """Use at most this many words, the most frequent ones (`tfidf`, `trees`)."""
    topics: Annotated[int, Field(ge=0)] = 24
    """Number of topics of the prompt and of the difference of the answers, as features; 0 for none. This key and all
    below are for `trees`."""
    stacked: bool = True
    """Use the prediction of a `tfidf` baseline as a feature; for training rows, of one that was trained on other
    prompts."""
    bags: Positive = 2
    """Average this many models; every second one uses neither topics nor the prediction of `tfidf`."""
    max_iter: Positive = 200
    """Rounds of boosting: number of trees per outcome."""
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 0.03
    """Weight of each tree."""
    max_leaf_nodes: Annotated[int, Field(ge=2)] = 31
    """Maximum number of leaves of a tree."""
    min_samples_leaf: Positive = 20
    """Minimum number of rows in a leaf, with both orders counted."""
    l2_regularization: Annotated[float, Field(ge=0)] = 1.0
    """L2 regularisation of the values of leaves."""
    max_features: Annotated[float, Field(gt=0, le=1)] = 0.1
    """Share of the features that each split can choose from."""
    seed: Annotated[int, Field(ge=0, lt=2**32 - 1000)] = 42
    """Seed of topics, folds and the features of each split."""
