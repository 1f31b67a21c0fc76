"""What is said of base models that cannot be used, before their weights are loaded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from tests.unit.models.families import FAMILIES, save_checkpoint
from tiebreak.errors import ModelError, RecipeError
from tiebreak.models import NANO, add_adapter, check_base, load_base, lora_config
from tiebreak.models.averaging import average_adapters
from tiebreak.models.hub import translate_load_errors


def configured(name: str, folder: Path, **changes: object) -> str:
    """A folder with the configuration of a family, and nothing else."""
    FAMILIES[name].config().save_pretrained(folder)
    if changes:
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return str(folder)


@pytest.mark.parametrize("precision", ["nf4", "int8", "fp8"])
@pytest.mark.parametrize("name", ["mixtral", "qwen3-moe", "deepseek-v3"])
def test_experts_that_would_stay_in_16_bits_are_refused(name: str, precision: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"mixture of experts, and model\.precision=.* reaches only \d+%"):
        check_base(configured(name, tmp_path), None, precision=precision, max_length=100)  # type: ignore[arg-type]


def test_a_dense_model_may_be_quantized(tmp_path: Path) -> None:
    assert check_base(configured("gemma3", tmp_path), None, precision="nf4", max_length=100) == []


def test_dropout_inside_attention_is_said_not_to_apply(tmp_path: Path) -> None:
    [note] = check_base(configured("llama", tmp_path, attention_dropout=0.1), None, precision="fp32", max_length=100)
    assert "attention_dropout=0.1" in note
    assert "is not applied" in note


def test_a_text_longer_than_the_model_was_made_for_is_refused_with_a_length_that_works(tmp_path: Path) -> None:
    name = configured("gemma3", tmp_path)  # the length stands in the inner configuration
    with pytest.raises(RecipeError, match=r"was made for 256: set text\.max_length=256"):
        check_base(name, None, precision="fp32", max_length=257)
    check_base(name, None, precision="fp32", max_length=256)


@pytest.mark.parametrize("where", ["outer", "inner"])
def test_a_checkpoint_that_was_saved_quantized_is_refused(where: str, tmp_path: Path) -> None:
    name = configured("gemma3", tmp_path)
    path = tmp_path / "config.json"
    config = json.loads(path.read_text())
    (config if where == "outer" else config["text_config"])["quantization_config"] = {"quant_method": "gptq", "bits": 4}
    path.write_text(json.dumps(config))
    with pytest.raises(ModelError, match="was saved quantized"):
        check_base(name, None, precision="bf16", max_length=100)


def test_a_composite_without_a_known_text_model_is_refused(tmp_path: Path) -> None:
    from transformers import CLIPConfig

    CLIPConfig().save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="reads more than text"):
        check_base(str(tmp_path), None, precision="fp32", max_length=50)


def test_adapters_files_and_code_are_refused_with_what_to_do(tmp_path: Path) -> None:
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text('{"base_model_name_or_path": "org/base"}')
    with pytest.raises(ModelError, match=r"is an adapter, not a model\. Merge it into its base, org/base"):
        check_base(str(adapter), None, precision="fp32", max_length=100)
    file = tmp_path / "model.safetensors"
    file.write_bytes(b"")
    with pytest.raises(ModelError, match=r"is a file\. A model is a folder with a config\.json, a \.gguf file"):
        check_base(str(file), None, precision="fp32", max_length=100)
    code = tmp_path / "code"
    code.mkdir()
    config = {"model_type": "my_own", "auto_map": {"AutoConfig": "configuration.Mine", "AutoModel": "modeling.Mine"}}
    (code / "config.json").write_text(json.dumps(config))
    (code / "configuration.py").write_text("raise SystemExit('executed')")
    with pytest.raises(ModelError, match="Tiebreak does not execute such code"):
        check_base(str(code), None, precision="fp32", max_length=100)


@pytest.mark.filterwarnings("ignore")
def test_adapters_are_never_on_experts(tmp_path: Path) -> None:
    save_checkpoint(FAMILIES["deepseek-v3"], tmp_path)
    base = load_base(str(tmp_path), precision="fp32", device=torch.device("cpu"))
    targets = ["o_proj", "down_proj"]
    model = add_adapter(base, lora_config(r=2, lora_alpha=4, lora_dropout=0.0, target_modules=targets))
    adapted = {name.partition(".lora_A")[0] for name, _ in model.named_parameters() if ".lora_A" in name}
    assert not any(".experts" in name for name in adapted)
    assert {name.rpartition(".")[2] for name in adapted} == set(targets)
    with pytest.raises(ModelError, match="experts_proj, which the model does not have"):
        add_adapter(base, lora_config(r=2, lora_alpha=4, lora_dropout=0.0, target_modules=["experts_proj"]))


def test_adapters_on_experts_are_not_averaged(tmp_path: Path) -> None:
    from peft import LoraConfig
    from safetensors.torch import save_file

    for name in ("a", "b"):
        folder = tmp_path / name
        LoraConfig(r=2, target_modules=["q_proj"], target_parameters=["mlp.experts.down_proj"]).save_pretrained(folder)
        save_file({"x.lora_A.weight": torch.zeros(2, 3)}, folder / "adapter_model.safetensors")
    with pytest.raises(ModelError, match="or is on experts"):
        average_adapters([tmp_path / "a", tmp_path / "b"], tmp_path)


def test_the_check_keeps_the_random_state() -> None:
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    check_base(NANO, None, precision="fp32", max_length=77)
    assert torch.equal(torch.rand(3), wanted)


def test_a_load_error_that_announces_a_list_names_its_first_entry() -> None:
    with pytest.raises(ModelError) as error, translate_load_errors("nano"):
        raise ValueError("Validation error for field 'hidden_size':\n    TypeError: expected int\nmore")
    first = "Validation error for field 'hidden_size': TypeError: expected int"
    assert str(error.value) == f"nano cannot be loaded as a decoder-only model: {first}"
