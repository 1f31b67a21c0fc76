"""Recipes: the seed, every shipped recipe, overrides, and errors."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, TaskType
from transformers import BitsAndBytesConfig, TrainingArguments

from tiebreak.errors import RecipeError
from tiebreak.models import lora_config, quantization_config, resolve_compute_dtype
from tiebreak.recipe import dump_recipe, load_recipe, recipe_keys, shipped_recipes
from tiebreak.text import SEED_TEMPLATE
from tiebreak.training import training_arguments

RECIPES = Path(__file__).parents[3] / "recipes"


def test_the_seed_recipe_builds_the_seeds_objects(tmp_path: Path) -> None:
    recipe = load_recipe(RECIPES / "seed.yaml")
    assert recipe.model.name == "google/gemma-2-9b"

    dtype = resolve_compute_dtype(recipe.model.compute_dtype, recipe.model.precision, torch.device("cpu"))
    wanted = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )
    quantization = quantization_config(recipe.model.precision, dtype)
    assert quantization is not None
    built = quantization.to_dict()
    assert built.pop("llm_int8_skip_modules") == ["score"]  # the head stays out; the seed did not set it
    assert built == {k: v for k, v in wanted.to_dict().items() if k != "llm_int8_skip_modules"}

    adapter = lora_config(**recipe.lora.model_dump())
    seed = LoraConfig(
        r=16, lora_alpha=8, target_modules=["q_proj", "k_proj", "v_proj", "o_proj"], lora_dropout=0.05, bias="none",
        task_type=TaskType.SEQ_CLS, modules_to_save=["score"],
    )  # fmt: skip
    assert adapter.to_dict() == seed.to_dict()

    arguments = training_arguments(recipe.training, checkpoints=tmp_path, total_steps=200, compute_dtype=dtype)
    plain = TrainingArguments(
        str(tmp_path), per_device_train_batch_size=5, num_train_epochs=2, learning_rate=5e-5, logging_steps=20,
        save_steps=20, eval_steps=20, eval_strategy="steps", save_total_limit=2, load_best_model_at_end=True,
    )  # fmt: skip
    for name in (
        "per_device_train_batch_size", "gradient_accumulation_steps", "num_train_epochs", "max_steps", "learning_rate",
        "lr_scheduler_type", "warmup_steps", "weight_decay", "adam_beta1", "adam_beta2", "adam_epsilon",
        "max_grad_norm",
        "logging_steps", "logging_strategy", "save_steps", "save_strategy", "eval_steps", "eval_strategy",
        "save_total_limit", "load_best_model_at_end", "metric_for_best_model", "greater_is_better", "seed",
    ):  # fmt: skip
        assert getattr(arguments, name) == getattr(plain, name), name
    assert (recipe.data.train_rows, recipe.data.validation_rows) == (500, 50)


def test_the_seed_template_is_exact() -> None:
    assert load_recipe(RECIPES / "seed.yaml").text.template is None
    assert SEED_TEMPLATE.text == (
        "Prompt: {prompt} \n\nResponse_a: {response_a}\n\nResponse_b: {response_b}\n\n--------\n\nWhich one is better ?"
    )


@pytest.mark.parametrize("name", sorted(p.stem for p in RECIPES.glob("*.yaml")))
def test_every_shipped_recipe_loads_and_survives_a_round_trip(name: str, tmp_path: Path) -> None:
    assert name in shipped_recipes()
    recipe = load_recipe(name, ["data.train=votes.csv"])
    assert recipe.output == Path("runs") / name
    written = tmp_path / "recipe.yaml"
    written.write_text(dump_recipe(recipe))
    assert load_recipe(written) == recipe
    training_arguments(recipe.training, checkpoints=tmp_path, total_steps=200, compute_dtype=torch.float32)


def test_overrides_are_parsed_as_yaml_at_every_depth() -> None:
    recipe = load_recipe(
        "demo",
        ["lora.r=32", "training.learning_rate=1e-4", "lora.target_modules=[q_proj, v_proj]", "output=runs/x",
         "data.train=a=b.csv", "model.revision=null", "training.trainer_arguments.adam_beta2=0.99"],
    )  # fmt: skip
    assert recipe.lora.r == 32
    assert recipe.training.learning_rate == 1e-4
    assert recipe.lora.target_modules == ["q_proj", "v_proj"]
    assert recipe.output == Path("runs/x")
    assert recipe.data.train == Path("a=b.csv").absolute()
    assert recipe.training.trainer_arguments == {"adam_beta2": 0.99}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("lora.rank=4", r"lora\.rank: there is no such key\. Did you mean lora\.r\?"),
        ("training.lr=1", r"training\.lr: there is no such key\. Did you mean training\.learning_rate\?"),
        ("epochs=1", r"epochs: there is no such key\. Did you mean training\.num_train_epochs\?"),
        ("training.per_device_train_batch_size=1", r"Did you mean training\.batch_size\?"),
        ("training.fp16=true", r"Did you mean model\.compute_dtype\?"),
        ("training.lora_alpha=4", r"Did you mean lora\.lora_alpha\?"),
        ("trainin.seed=4", r"Did you mean training\?"),
        ("training.batch_size=five", r"training\.batch_size: .*integer.*'five'"),
        ("training.batch_size=0", r"training\.batch_size: .*greater than 0.*it is 0"),
        ("model.precision=fp4", r"model\.precision: .*'nf4'.*it is 'fp4'"),
        ("lora.lora_dropout=1.5", r"lora\.lora_dropout: .*less than 1"),
        ("text.max_length=99999", r"a whole comparison has to fit into one pass"),
        ("lora.r", r"'lora\.r' is not an override: write key=value"),
        ("lora.r=[", r"The value of 'lora\.r=\[' cannot be read as YAML"),
        ("lora={r: 4, r: 5}", r"The value of 'lora={r: 4, r: 5}': the key r on line 1 is already on line 1"),
        ("output.deeper=1", r"output is not a section"),
        ("data.validation_share=0.5", None),
    ],
)
def test_errors_in_overrides(override: str, message: str | None) -> None:
    overrides = ["output=runs/x", override]
    if message is None:
        load_recipe("demo", overrides)
        return
    with pytest.raises(RecipeError, match=message):
        load_recipe("demo", overrides)


@pytest.mark.parametrize("text", ["2024-01-01", "5", "1e5", "a #b.csv", "a: b", "[x]", "true", "{x"])
def test_texts_and_paths_are_literal(text: str, tmp_path: Path) -> None:
    keys = ("data.calibration", "data.validation", "model.start_from", "output", "model.revision", "text.template")
    recipe = load_recipe("demo", [f"{key}={text}" for key in keys])
    paths = (recipe.data.calibration, recipe.data.validation, recipe.model.start_from)
    assert paths == (Path.cwd() / text,) * 3
    assert (recipe.output, recipe.model.revision, recipe.text.template) == (Path(text), text, text)
    (tmp_path / "again.yaml").write_text(dump_recipe(recipe))
    assert load_recipe(tmp_path / "again.yaml") == recipe


def test_a_text_may_be_quoted_or_null() -> None:
    recipe = load_recipe("demo", ['text.template="{prompt}\\n{response_a}"', "data.train=null", "model.revision="])
    assert recipe.text.template == "{prompt}\n{response_a}"
    assert (recipe.data.train, recipe.model.revision) == (None, None)


def test_a_single_logger_needs_no_list() -> None:
    assert load_recipe("demo", ["training.report_to=wandb"]).training.report_to == ["wandb"]
    assert load_recipe("demo", ["training.report_to=[wandb, mlflow]"]).training.report_to == ["wandb", "mlflow"]


def test_errors_name_the_override_or_file_that_contains_them(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("lora: {r: -4}\n")
    with pytest.raises(RecipeError) as raised:
        load_recipe(mine, ["training.batch_size=five", "training.lr=2", "lora.lora_alpha=8"])
    assert [line for line in str(raised.value).splitlines() if not line.startswith(" ")] == [
        f"1 error in {mine}:",
        "1 error in the override training.batch_size=five:",
        "1 error in the override training.lr=2:",
    ]
    mine.write_text("training: {tokens_per_pass: 512}\n")
    with pytest.raises(RecipeError, match=rf"^1 error in {mine} with text\.max_length=600:"):
        load_recipe(mine, ["lora.r=4", "text.max_length=600"])


def test_a_repeated_key_is_refused_with_its_lines(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("lora:\n  r: 4\ntraining:\n  seed: 1\nlora:\n  r: 5\n")
    with pytest.raises(RecipeError, match=rf"{mine}: the key lora on line 5 is already on line 1\. Keep one"):
        load_recipe(mine)


def test_dates_in_a_file_are_texts_and_exponents_numbers(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("data: {train: 2024-01-01}\ntraining: {trainer_arguments: {adam_epsilon: 1e-9, adam_beta1: .9}}\n")
    recipe = load_recipe(mine)
    assert recipe.data.train == Path.cwd() / "2024-01-01"
    assert recipe.training.trainer_arguments == {"adam_epsilon": 1e-9, "adam_beta1": 0.9}


def test_files_and_folders_that_are_not_recipes_are_refused(tmp_path: Path) -> None:
    (tmp_path / "votes.csv").write_text("id,prompt\n")
    with pytest.raises(RecipeError, match=r"votes\.csv is a data file.*tiebreak train RECIPE data\.train=.*votes\.csv"):
        load_recipe(tmp_path / "votes.csv")
    with pytest.raises(RecipeError, match=rf"{tmp_path} is a folder, .* model\.name={tmp_path} data\.train=VOTES\."):
        load_recipe(tmp_path)
    (tmp_path / "recipe.yaml").write_text("")
    with pytest.raises(RecipeError, match=rf"{tmp_path} is a run folder.*train {tmp_path}/recipe\.yaml --resume"):
        load_recipe(tmp_path)


def test_all_mistakes_are_reported_at_once(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("lora: {r: -1, alpha: 2}\nnonsense: 1\n")
    with pytest.raises(RecipeError) as raised:
        load_recipe(mine)
    assert f"3 errors in {mine}:" in str(raised.value)
    for key in ("lora.r:", "lora.alpha:", "nonsense:"):
        assert key in str(raised.value)


@pytest.mark.parametrize(
    ("text", "message"), [("a: [", "cannot be read as YAML"), ("- a\n", "holds a list: a recipe is a mapping")]
)
def test_a_broken_recipe_file_is_a_clear_error(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text(text)
    with pytest.raises(RecipeError, match=message):
        load_recipe(path)


def test_a_missing_recipe_names_the_nearest_shipped_one(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"Recipe gemma2-9b-qlra.yaml does not exist.*Did you mean gemma2-9b-qlora"):
        load_recipe("gemma2-9b-qlra.yaml")
    with pytest.raises(RecipeError, match="does not exist"):
        load_recipe(tmp_path / "seed.yaml")  # a shipped name, but in a folder where it is not


def test_every_key_is_described() -> None:
    assert not [key for key, (_, meaning) in recipe_keys().items() if not meaning]
    assert recipe_keys()["training.batch_size"][0] == 8
    assert recipe_keys()["output"][0] is None
    assert recipe_keys()["baseline.kind"][0] is None
    assert json.dumps([default for default, _ in recipe_keys().values()])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"adam_bta1": 0.9}, "no such argument. Did you mean adam_beta1"),
        ({"learning_rate": 0.9}, r"decided by training\.learning_rate"),
        ({"per_device_train_batch_size": 3}, r"decided by training\.batch_size"),
        ({"gradient_accumulation_steps": 3}, "as many passes as"),
        ({"label_smoothing_factor": 0.1}, "cross-entropy with the vote"),
        ({"bf16": True}, r"decided by model\.precision"),
        ({"eval_strategy": "no"}, "decided by the training section"),
    ],
)
def test_trainer_arguments_are_checked(arguments: dict[str, object], message: str, tmp_path: Path) -> None:
    recipe = load_recipe("demo", [f"training.trainer_arguments={json.dumps(arguments)}"])
    with pytest.raises(RecipeError, match=message):
        training_arguments(recipe.training, checkpoints=tmp_path, total_steps=200, compute_dtype=torch.float32)


def test_a_misspelt_section_is_that_of_the_override() -> None:
    with pytest.raises(RecipeError, match=r"in the override modle\.name=x:\n  modle: there is no such key.*model"):
        load_recipe("demo", ["modle.name=x"])
