"""The sections of a recipe: every key, its type, its bounds and its meaning.

Keys carry the names of Hugging Face's TrainingArguments, LoraConfig and BitsAndBytesConfig wherever they mean the same.
"""

from __future__ import annotations

from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic.fields import FieldInfo

Positive = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(gt=0, lt=1)]


def _whole(steps: float) -> float:
    if steps >= 1 and steps != int(steps):
        raise ValueError("should be a whole number of steps, or below 1 a share of all steps")
    return steps


def _named(names: Any) -> Any:
    """One logger's name stands for a list of it."""
    return [names] if isinstance(names, str) else names


def _located(name: str) -> str:
    """A model's folder by its full path, so that a run judges from any folder; any other name as it is."""
    folder = Path(name).expanduser()
    return str(folder.absolute()) if name != "nano" and folder.is_dir() else name


def _epochs_or_steps(steps: int) -> int:
    if steps == -1 or steps > 0:
        return steps
    raise ValueError("should be a number of steps greater than 0, or -1 for epochs")


def _listed(names: Any) -> Any:
    """One layer's name stands for a list of it; an empty list would adapt nothing."""
    if names == []:
        raise ValueError("should name at least one layer, or be all-linear")
    return [names] if isinstance(names, str) and names != "all-linear" else names


Steps = Annotated[float, Field(gt=0), AfterValidator(_whole)]
"""A number of optimiser steps, or below 1 a share of all steps, as in TrainingArguments."""


LocalPath = Annotated[Path, AfterValidator(lambda path: path.expanduser().absolute())]
"""A path that means the same from any folder."""


class _Section(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, protected_namespaces=(), allow_inf_nan=False
    )


class ModelSection(_Section):
    """Which model becomes the judge, and in what numbers it is held."""

    name: Annotated[str, AfterValidator(_located)] = "nano"
    """A hub name (`google/gemma-2-9b`), a local folder, or `nano` for the built-in tiny Gemma 2."""
    revision: str | None = None
    """Branch, tag or commit on the hub."""
    head: Literal["pairwise", "pointwise"] = "pairwise"
    """`pairwise`: one sequence holds prompt, A and B, and the head reads three logits off its last token. `pointwise`:
    one sequence holds the prompt and one answer, and the head reads its reward: a reward model."""
    tie_model: Literal["davidson", "rao-kupper", "bradley-terry"] = "davidson"
    """How two rewards of a pointwise head make a win or a tie: `davidson` (1970) or `rao-kupper` (1967), whose share of
    ties is learned, or `bradley-terry` (1952), for votes without ties; margins of graded votes go with this one."""
    precision: Literal["nf4", "int8", "fp8", "bf16", "fp16", "fp32"] = "nf4"
    """How the frozen base weights are held: `nf4` is 4-bit with double quantisation (QLoRA); `fp8` is e4m3 with a scale
    a row, multiplied in FP8, the fastest from Ada and Hopper on; `int8` LLM.int8(), which alone chooses its outlier
    columns over a whole pass, so that numbers vary a little with what shares it."""
    compute_dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto"
    """The type of matrix products. `auto`: the weights' own, or for quantised weights bfloat16 from Ampere on,
    float16 on older cards, float32 on the CPU."""
    start_from: LocalPath | None = None
    """An earlier run's folder whose adapter and head this run goes on from."""
    reset_head: bool = False
    """Start with a fresh head: with `start_from` from the earlier run's adapter alone."""

    @model_validator(mode="after")
    def _tie_model_of_rewards(self) -> ModelSection:
        if self.head == "pairwise" and "tie_model" in self.model_fields_set and self.tie_model != "davidson":
            raise ValueError(f"tie_model={self.tie_model} goes with model.head=pointwise: pairs need no tie model")
        return self


class LoraSection(_Section):
    """The adapter, by the names of peft's LoraConfig."""

    r: Positive = 16
    """Rank of the matrices A and B."""
    lora_alpha: Positive = 16
    """The adapter's output is scaled by alpha / r. The best one depends on the learning rate: 4 at 2e-4, 64 at 6e-5."""
    lora_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Dropout in front of A."""
    target_modules: Annotated[list[str] | Literal["all-linear"], BeforeValidator(_listed)] = "all-linear"
    """Names of the layers that are adapted."""
    bias: Literal["none", "all", "lora_only"] = "none"
    """Which biases are trained too."""
    use_rslora: bool = False
    """Scale by alpha / sqrt(r) instead."""
    layers_to_transform: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)] | None = None
    """Adapt only these decoder layers, counted from 0. Their `target_modules` have to be named."""

    @model_validator(mode="after")
    def _layers_of_named_modules(self) -> LoraSection:
        if self.layers_to_transform is not None and self.target_modules == "all-linear":
            raise ValueError(
                "layers_to_transform goes with named layers only, not with all-linear: name them, as "
                "lora.target_modules=[q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj]"
            )
        return self


class TextSection(_Section):
    """How a comparison becomes a text, and how long it may be."""

    template: str | None = None
    """A text with the slots {prompt}, {response_a} and {response_b}, of a pointwise head {prompt} and {response}; by
    default one that comes with Tiebreak."""
    max_length: Annotated[int, Field(ge=32)] = 2048
    """Tokens a comparison may have, of a pointwise head a prompt with one answer; longer ones are cut by turn, oldest
    first, and the cut is marked and counted."""


class DataSection(_Section):
    """Which votes to learn from, which to validate on, and which to calibrate on."""

    train: LocalPath | None = None
    """CSV, JSONL or Parquet with votes."""
    validation: LocalPath | None = None
    """A file of its own. Without one, rows are split off `train`, by prompt, so that none stands on both sides."""
    train_rows: Positive | None = None
    """Use this many rows for training (a random choice under `seed`) instead of all."""
    validation_rows: Positive | None = None
    """Validate on this many rows."""
    validation_share: Share | None = None
    """Validate on this share of `train`. Without either, one row in ten, at most 1,000."""
    calibration: LocalPath | None = None
    """A file of votes that the trained judge's probabilities are calibrated on. Without this and the next two there is
    no calibration; `tiebreak calibrate` can make one later."""
    calibration_rows: Positive | None = None
    """Calibrate on this many rows, of `calibration` or split off `train` by prompt: not trained or validated on."""
    calibration_share: Share | None = None
    """Calibrate on this share of `train`, split off likewise."""
    problem_rows: Literal["refuse", "skip", "keep"] = "refuse"
    """Rows that cannot be used as they are: `refuse` the file and list them; `skip` them, counted; `keep` empty
    texts and repeated ids as they are (unreadable rows are refused even so)."""
    seed: int = 42
    """Decides the split."""

    @model_validator(mode="after")
    def _one_way_to_validate(self) -> DataSection:
        given = [k for k in ("validation", "validation_share") if getattr(self, k) is not None]
        if len(given) == 2 or (self.validation_share is not None and self.validation_rows is not None):
            raise ValueError("validation_share splits rows off data.train: give it alone, or leave it out")
        return self

    @model_validator(mode="after")
    def _one_way_to_calibrate(self) -> DataSection:
        if self.calibration_share is not None and (self.calibration is not None or self.calibration_rows is not None):
            raise ValueError("calibration_share splits rows off data.train: give it alone, or leave it out")
        return self


class TrainingSection(_Section):
    """How it learns, by the names of transformers' TrainingArguments."""

    batch_size: Positive = 8
    """Comparisons an optimiser step learns from, over all GPUs: decides what is learned."""
    tokens_per_pass: Annotated[int, Field(ge=32)] | Literal["auto"] = "auto"
    """Tokens that go through the model at once: decides memory and speed, never what is learned (but for which numbers
    dropout drops). `auto` measures what the GPU holds. Halved by itself when memory runs out."""
    both_orders: bool = False
    """Learn each comparison in both orders, A first and B first, in one step (each with half the weight)."""
    center_rewards_coefficient: Annotated[float, Field(ge=0)] = 0.0
    """Of a pointwise head: the loss gains this many times the mean of (r_A + r_B)^2, which no vote decides, so that
    rewards stay around 0 (0.01 is usual)."""
    num_train_epochs: Annotated[float, Field(gt=0)] = 1
    """How often each comparison is learned from."""
    max_steps: Annotated[int, AfterValidator(_epochs_or_steps)] = -1
    """A number of optimiser steps instead of epochs; -1 for epochs."""
    learning_rate: Annotated[float, Field(gt=0)] = 1e-4
    """The highest learning rate, after warming up."""
    lr_scheduler_type: str = "linear"
    """How it falls: linear, cosine, constant, constant_with_warmup, polynomial, ..."""
    warmup_steps: Annotated[float, Field(ge=0)] = 0
    """Optimiser steps, or below 1 a share of all steps."""
    optim: str = "adamw_torch"
    """An optimiser of transformers: adamw_torch, paged_adamw_8bit, adafactor, ..."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """Decay of the adapter and the head, but not of biases."""
    max_grad_norm: Annotated[float, Field(ge=0)] = 1.0
    """Gradients longer than this are shortened to it; 0 turns clipping off."""
    gradient_checkpointing: bool | Literal["auto"] = "auto"
    """Compute activations anew in the backward pass instead of keeping them: a third more time, far less memory.
    `auto` does so in as many layers as the GPU's memory asks for."""
    logging_steps: Steps = 20
    """Log the training loss every so many steps; below 1 a share of all steps, as the next two."""
    eval_steps: Steps | None = None
    """Validate every so many steps; by default whenever a checkpoint is saved."""
    save_steps: Steps = 0.1
    """Keep a checkpoint to resume from every so many steps."""
    save_total_limit: Positive | None = 2
    """Keep at most so many checkpoints, the best one among them."""
    load_best_model_at_end: bool = True
    """The judge is the best checkpoint by `metric_for_best_model`, not the last one."""
    metric_for_best_model: Literal["loss", "accuracy"] = "loss"
    """`loss` (log loss) or `accuracy`, on the validation rows."""
    early_stopping_patience: Positive | None = None
    """Stop after so many validations without a better `metric_for_best_model`."""
    report_to: Annotated[list[str], BeforeValidator(_named)] = ["tensorboard"]
    """Loggers of transformers: tensorboard, wandb, mlflow, comet_ml, ..."""
    seed: Annotated[int, Field(ge=0)] = 42
    """Decides the fresh weights, the order of the rows and the dropout."""
    trainer_arguments: dict[str, Any] = {}
    """Any other TrainingArguments, by name."""


class BaselineSection(_Section):
    """A classical judge in the place of a language model, by scikit-learn's names."""

    kind: Literal["prior", "length", "tfidf", "trees"]
    """`prior`: the votes' shares. `length`: logistic regression on differences of length and format. `tfidf`: one on
    the words the answers differ in and the prompt's. `trees`: gradient-boosted trees on some 200 features of both
    answers, topics, and what `tfidf` says."""
    C: Annotated[float, Field(gt=0)] = 0.1
    """Of a logistic regression (`length`, `tfidf`, and the one that `trees` hear): the inverse of regularisation."""
    min_df: Positive = 3
    """Words that fewer texts have are not looked at (`tfidf`, `trees`)."""
    max_words: Positive = 20_000
    """At most so many words, the most frequent (`tfidf`, `trees`)."""
    topics: Annotated[int, Field(ge=0)] = 24
    """Topics of the prompt and of the answers' difference as features (`trees`, as all below); 0 for none."""
    stacked: bool = True
    """What a `tfidf` judge says is a feature; of training rows what one says that learned from other prompts."""
    bags: Positive = 2
    """The mean is taken of so many models; every second one sees neither topics nor what a `tfidf` judge says."""
    max_iter: Positive = 200
    """Rounds of boosting: trees for each outcome."""
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 0.03
    """How much each tree adds."""
    max_leaf_nodes: Annotated[int, Field(ge=2)] = 31
    """Leaves a tree may have."""
    min_samples_leaf: Positive = 20
    """Rows a leaf must have, counted in both orders."""
    l2_regularization: Annotated[float, Field(ge=0)] = 1.0
    """Draws what leaves add to 0."""
    max_features: Annotated[float, Field(gt=0, le=1)] = 0.1
    """Share of the features that each split chooses from."""
    seed: Annotated[int, Field(ge=0, lt=2**32 - 1000)] = 42
    """Decides topics, folds and the features of each split."""


class Recipe(_Section):
    """Every setting of a run."""

    baseline: BaselineSection | None = None
    """A classical judge instead of a language model: the sections model, lora, text and training then mean nothing."""

    model: ModelSection = ModelSection()
    lora: LoraSection = LoraSection()
    text: TextSection = TextSection()
    data: DataSection = DataSection()
    training: TrainingSection = TrainingSection()
    output: Annotated[Path, AfterValidator(Path.expanduser)] | None = None
    """The run's folder; by default runs/ and the recipe's name."""

    @model_validator(mode="after")
    def _a_baseline_is_no_model(self) -> Recipe:
        if self.baseline is not None:
            given = {
                "model": self.model != ModelSection(), "lora": self.lora != LoraSection(),
                "text": self.text != TextSection(), "training": self.training != TrainingSection(),
            }  # fmt: skip
            if any(given.values()):
                raise ValueError(
                    f"baseline (a classical judge) and {', '.join(name for name, is_so in given.items() if is_so)} (of "
                    "a language model) do not go together: leave one of them out"
                )
        return self

    @model_validator(mode="after")
    def _a_comparison_fits_a_pass(self) -> Recipe:
        texts = 2 if self.model.head == "pointwise" else 1
        tokens = self.training.tokens_per_pass
        if tokens != "auto" and texts * self.text.max_length > tokens:
            twice = "twice " if texts == 2 else ""
            raise ValueError(
                f"{twice}text.max_length ({self.text.max_length}) is more than training.tokens_per_pass ({tokens}): "
                "a whole comparison has to fit into one pass. Lower the one or raise the other"
            )
        return self

    @model_validator(mode="after")
    def _rewards_are_symmetric(self) -> Recipe:
        if self.model.head == "pointwise" and self.training.both_orders:
            raise ValueError(
                "training.both_orders goes with model.head=pairwise: rewards are the same in both orders. Leave it out"
            )
        if self.model.head == "pairwise" and self.training.center_rewards_coefficient:
            raise ValueError("training.center_rewards_coefficient goes with model.head=pointwise. Leave it out")
        return self


def recipe_keys() -> dict[str, tuple[Any, str]]:
    """Every dotted key, in order, with its default (None where it has none) and what it means."""
    return {
        key: (
            None if field.is_required() else field.get_default(call_default_factory=True),
            " ".join((field.description or "").split()),
        )
        for key, field in _fields().items()
    }


def _fields() -> dict[str, FieldInfo]:
    fields: dict[str, FieldInfo] = {}
    for name, field in Recipe.model_fields.items():
        section = next((kind for kind in get_args(field.annotation) if kind is not type(None)), field.annotation)
        if isinstance(section, type) and issubclass(section, _Section):
            fields |= {f"{name}.{key}": inner for key, inner in section.model_fields.items()}
        else:
            fields[name] = field
    return fields


def holds_text(key: str) -> bool:
    """Whether a key's value is a text or a path, whatever the text looks like."""
    field = _fields().get(key)
    if field is None:
        return False
    is_union = get_origin(field.annotation) in (Union, UnionType)
    kinds = get_args(field.annotation) if is_union else (field.annotation,)
    return any(getattr(kind, "__origin__", kind) in (str, Path) for kind in kinds)  # the origin of an Annotated
