"""The recipe: every setting of a run in one typed file, the one source of reference and validation.

Keys carry the names of Hugging Face's TrainingArguments, LoraConfig and BitsAndBytesConfig wherever they mean the
same. Unknown keys are refused with the nearest right name.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic.fields import FieldInfo

from tiebreak.errors import RecipeError
from tiebreak.wording import counted
from tiebreak.yamltext import read_yaml, write_yaml

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
    head: Literal["pairwise"] = "pairwise"
    """`pairwise`: one sequence holds prompt, A and B, and the head reads three logits off its last token."""
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
    """A text with the slots {prompt}, {response_a} and {response_b}; by default the one Tiebreak began with."""
    max_length: Annotated[int, Field(ge=32)] = 2048
    """Tokens a comparison may have; longer ones are cut by turn, oldest first, and the cut is marked and counted."""


class DataSection(_Section):
    """Which votes to learn from and which to validate on."""

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


class TrainingSection(_Section):
    """How it learns, by the names of transformers' TrainingArguments."""

    batch_size: Positive = 8
    """Comparisons an optimiser step learns from, over all GPUs: decides what is learned."""
    tokens_per_pass: Annotated[int, Field(ge=32)] | Literal["auto"] = "auto"
    """Tokens that go through the model at once: decides memory and speed, never what is learned. `auto` measures what
    the GPU holds. Halved by itself when memory runs out."""
    both_orders: bool = False
    """Learn each comparison in both orders, A first and B first, in one step (each with half the weight)."""
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


class Recipe(_Section):
    """Every setting of a run."""

    model: ModelSection = ModelSection()
    lora: LoraSection = LoraSection()
    text: TextSection = TextSection()
    data: DataSection = DataSection()
    training: TrainingSection = TrainingSection()
    output: Annotated[Path, AfterValidator(Path.expanduser)] | None = None
    """The run's folder; by default runs/ and the recipe's name."""

    @model_validator(mode="after")
    def _a_comparison_fits_a_pass(self) -> Recipe:
        if self.training.tokens_per_pass != "auto" and self.text.max_length > self.training.tokens_per_pass:
            raise ValueError(
                f"text.max_length ({self.text.max_length}) is more than training.tokens_per_pass "
                f"({self.training.tokens_per_pass}): a whole comparison has to fit into one pass. "
                "Lower the one or raise the other"
            )
        return self


_OTHER_NAMES: Final = {
    "lr": "training.learning_rate",
    "epochs": "training.num_train_epochs",
    "num_epochs": "training.num_train_epochs",
    "per_device_train_batch_size": "training.batch_size",
    "fp16": "model.compute_dtype",
    "bf16": "model.compute_dtype",
    "load_in_4bit": "model.precision",
    "load_in_8bit": "model.precision",
    "model_name_or_path": "model.name",
    "output_dir": "output",
}
"""What people call some keys, from elsewhere."""


def shipped_recipes() -> dict[str, Path]:
    """Name -> file of the recipes that come with Tiebreak."""
    here = Path(__file__).parent / "recipes"  # in an installed package
    folder = here if here.is_dir() else Path(__file__).parents[2] / "recipes"  # in a checkout
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def load_recipe(path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe file, put `key.key=value` overrides on top, and check every key and value.

    `path` may also be the bare name of a shipped recipe. Values of overrides are read as YAML, but those of keys that
    hold a text or a path are taken as they are.

    Raises:
        RecipeError: no such file, not YAML, an unknown key, an impossible value; all of them at once.
    """
    file = _recipe_file(Path(path))
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{file} cannot be read as YAML: {error}") from error
    values = read_yaml(text, str(file))
    if values is None:
        values = {}
    if not isinstance(values, dict):
        raise RecipeError(f"{file} holds a {type(values).__name__} where a recipe is a mapping of sections.")
    for override in overrides:
        _apply(values, override)
    if file.name == "recipe.yaml" and (file.parent / "environment.json").exists():
        values["output"] = str(file.parent)  # a run's own recipe: the run is where it lies, even if it was moved
    values.setdefault("output", f"runs/{file.stem}")
    return _checked(values, str(file), overrides)


def _recipe_file(path: Path) -> Path:
    """The file that is meant: by its path, or by the name of a shipped recipe."""
    shipped = shipped_recipes()
    if not path.is_file():
        # `recipes/seed.yaml` is found from any folder, as is plain `seed`.
        if path.stem in shipped and str(path.parent) in (".", "recipes"):
            return shipped[path.stem]
        if (path / "recipe.yaml").is_file():
            raise RecipeError(
                f"{path} is a run's folder, not a recipe. Go on with the run: tiebreak train {path / 'recipe.yaml'} "
                "--resume."
            )
        if path.is_dir():
            raise RecipeError(f"{path} is a folder, not a recipe (a YAML file). A model's goes into model.name={path}.")
        raise RecipeError(f"There is no recipe {path}.{_nearest(path.stem, shipped, 'Tiebreak comes with')}")
    if path.suffix.lower() in (".csv", ".jsonl", ".parquet", ".gz"):
        raise RecipeError(f"{path} is no recipe, but looks like votes: tiebreak train RECIPE data.train={path}.")
    return path


def parse_recipe(values: Mapping[str, Any], source: str = "recipe") -> Recipe:
    """Check a mapping of sections, as `load_recipe` does.

    Raises:
        RecipeError: an unknown key or an impossible value; all of them at once.
    """
    return _checked(values, source)


def dump_recipe(recipe: Recipe) -> str:
    """The recipe as YAML with every value written out; `load_recipe` reads it back to an equal recipe."""
    return write_yaml(recipe.model_dump(mode="json"))


def recipe_keys() -> dict[str, tuple[Any, str]]:
    """Every dotted key, in order, with its default and what it means."""
    return {key: (field.default, " ".join((field.description or "").split())) for key, field in _fields().items()}


def _fields() -> dict[str, FieldInfo]:
    fields: dict[str, FieldInfo] = {}
    for name, field in Recipe.model_fields.items():
        section = field.annotation
        if isinstance(section, type) and issubclass(section, _Section):
            fields |= {f"{name}.{key}": inner for key, inner in section.model_fields.items()}
        else:
            fields[name] = field
    return fields


def _holds_text(key: str) -> bool:
    """Whether a key's value is a text or a path, whatever the text looks like."""
    field = _fields().get(key)
    if field is None:
        return False
    is_union = get_origin(field.annotation) in (Union, UnionType)
    kinds = get_args(field.annotation) if is_union else (field.annotation,)
    return any(getattr(kind, "__origin__", kind) in (str, Path) for kind in kinds)  # the origin of an Annotated


def _apply(values: dict[str, Any], override: str) -> None:
    key, sign, text = override.partition("=")
    if not sign or not re.fullmatch(r"[a-z_]+(\.[a-zA-Z_]\w*)*", key):
        raise RecipeError(f"{override!r} is no override: write key=value, for instance training.learning_rate=1e-4.")
    quoted = text[:1] in ("'", '"')
    as_it_is = _holds_text(key) and not quoted and text not in ("", "null")
    value = text if as_it_is else read_yaml(text, f"The value of {override!r}")
    *sections, last = key.split(".")
    target = values
    for depth, section in enumerate(sections):
        inner = target.setdefault(section, {})
        if inner is None:
            inner = target[section] = {}
        if not isinstance(inner, dict):
            raise RecipeError(f"{override!r}: {'.'.join(sections[: depth + 1])} is no section but {inner!r}.")
        target = inner
    target[last] = value


def _checked(values: Mapping[str, Any], source: str, overrides: Sequence[str] = ()) -> Recipe:
    try:
        return Recipe.model_validate(dict(values))
    except ValidationError as error:
        found: dict[str, list[str]] = {}
        for detail in error.errors():
            found.setdefault(_blamed(dict(detail), source, overrides), []).append(f"  {_explained(dict(detail))}")
        lines = []
        for blamed, explained in found.items():
            lines += [f"{blamed}: {counted(len(explained), 'thing')} to mend.", *explained]
        raise RecipeError("\n".join(lines)) from None


def _blamed(detail: Mapping[str, Any], source: str, overrides: Sequence[str]) -> str:
    """Where a mistake was made: in an override, or in the recipe, perhaps by what overrides made of it."""
    wrong = ".".join(str(part) for part in detail["loc"])
    keys = {override.partition("=")[0]: override for override in overrides}
    for key, override in keys.items():
        if wrong == key or wrong.startswith(f"{key}."):
            return f"The override {override}"
    inside = [  # two keys that do not go together are told of the section that holds them
        override
        for key, override in keys.items()
        if key.startswith(f"{wrong}." if wrong else "") and re.search(rf"\b{key.rpartition('.')[2]}\b", detail["msg"])
    ]
    return f"{source} with {' '.join(inside)}" if inside and detail["type"] == "value_error" else source


def _explained(detail: Mapping[str, Any]) -> str:
    location = [str(part) for part in detail["loc"]]
    key = ".".join(location)
    if detail["type"] == "extra_forbidden":
        return f"{key}: there is no such key.{_nearest(key, recipe_keys(), 'The keys are')}"
    message = str(detail["msg"]).removeprefix("Value error, ")
    value = detail.get("input")
    shown = "" if isinstance(value, (dict, BaseModel)) else f" (it is {value!r})"
    return f"{key}: {message}{shown}." if key else f"{message}."


def _nearest(name: str, known: Iterable[str], otherwise: str) -> str:
    """` Did you mean x?`, or the list of what there is.

    A key may be misspelt, or stand in the wrong section: whole names are compared first, then last parts.
    """
    names = list(known)
    by_last = {candidate.rpartition(".")[2]: candidate for candidate in reversed(names)}
    sections = {candidate.partition(".")[0]: candidate for candidate in names}
    last = name.rpartition(".")[2]
    if last in _OTHER_NAMES and _OTHER_NAMES[last] in names:
        return f" Did you mean {_OTHER_NAMES[last]}?"
    close = difflib.get_close_matches(name, [*names, *(sections if "." not in name else ())], n=1, cutoff=0.75)
    if last in by_last:
        close = [by_last[last]]
    close = close or [by_last[x] for x in difflib.get_close_matches(last, list(by_last), n=1, cutoff=0.6)]
    if close:
        return f" Did you mean {close[0]}?"
    siblings = [n for n in names if n.rpartition(".")[0] == name.rpartition(".")[0]] or names
    return f" {otherwise}: {', '.join(siblings)}."
