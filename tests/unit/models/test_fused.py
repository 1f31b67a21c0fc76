"""Decoder layers by hand against Hugging Face's own: logits, gradients, checkpointing, and what is left alone."""

from __future__ import annotations

import tests.unit.models.interpreted  # noqa: F401  # isort: skip

from typing import Any

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model

from tests.unit.models.conftest import make_pair
from tiebreak.models import add_adapter, layer_stack, lora_config, pack_logits, use_fused_layers
from tiebreak.models.fp8 import Fp8Linear, quantize_to_fp8
from tiebreak.models.fused.layer import FusedLayer
from tiebreak.text import Pack, pack

CPU = torch.device("cpu")
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


@pytest.fixture(autouse=True)
def _kernels_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tiebreak.models.fused.patch.supports_kernels", lambda device, dtype: True)


def shared_pack() -> Pack:
    rng = np.random.default_rng(0)
    prefix = rng.integers(3, 90, 9)
    tails = [rng.integers(3, 90, n) for n in (11, 4)]
    sequences = [rng.integers(3, 90, 10), *(np.concatenate([prefix, tail]) for tail in tails)]
    [item] = pack([s.astype(np.int32) for s in sequences], tokens_per_pass=500, groups=[0, 1, 1])
    return item


def adapted(name: str, targets: Any, dropout: float = 0.0) -> Any:
    """A tiny classifier with LoRA whose B is not zero."""
    _, base = make_pair(name, num_hidden_layers=2, **({"max_window_layers": 1} if name == "qwen2-window" else {}))
    config = lora_config(r=3, lora_alpha=6, lora_dropout=dropout, target_modules=targets)
    model = add_adapter(base, config).train()
    torch.manual_seed(1)
    for parameter_name, parameter in model.named_parameters():
        if "lora_B" in parameter_name:
            torch.nn.init.normal_(parameter, std=0.1)
    return model


def logits_and_gradients(model: Any) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    model.zero_grad()
    torch.manual_seed(5)
    logits = pack_logits(model, shared_pack(), torch.float32)
    (logits * torch.arange(9.0).view(3, 3)).sum().backward()
    return logits.detach(), {n: p.grad.clone() for n, p in model.named_parameters() if p.requires_grad}


@pytest.mark.parametrize(
    ("name", "targets"),
    [
        ("gemma2", "all-linear"),
        ("gemma2", ["q_proj", "v_proj"]),
        ("llama", ["down_proj", "k_proj"]),
        ("qwen2-window", "all-linear"),
        ("mistral", ["o_proj", "up_proj"]),
    ],
)
def test_logits_and_gradients_are_those_of_transformers(name: str, targets: Any) -> None:
    model = adapted(name, targets)
    wanted, wanted_gradients = logits_and_gradients(model)
    assert use_fused_layers(model, torch.float32)
    assert layer_stack(model).checkpoints_single_layers
    for checkpointed in (False, True):
        layer_stack(model).checkpoint(checkpointed)
        logits, gradients = logits_and_gradients(model)
        torch.testing.assert_close(logits, wanted, atol=1e-5, rtol=1e-5)
        for key, gradient in gradients.items():
            torch.testing.assert_close(gradient, wanted_gradients[key], atol=1e-4, rtol=1e-3, msg=key)
    with torch.no_grad():
        torch.testing.assert_close(pack_logits(model.eval(), shared_pack(), torch.float32), wanted, atol=1e-5, rtol=0)


def test_checkpointing_draws_the_same_dropout_again() -> None:
    model = adapted("gemma2", ["v_proj", "down_proj"], dropout=0.3)
    assert use_fused_layers(model, torch.float32)
    _, kept = logits_and_gradients(model)
    layer_stack(model).checkpoint(99)
    _, again = logits_and_gradients(model)
    assert all(torch.equal(kept[key], again[key]) for key in kept)
    model.eval()
    assert not torch.equal(logits_and_gradients(model)[0], logits_and_gradients(model.train())[0])


def test_no_gradient_is_computed_for_layers_below_the_first_adapter(monkeypatch: pytest.MonkeyPatch) -> None:
    backwards: list[bool] = []
    backward = FusedLayer.backward

    def counted(*args: Any, needs_grad_h: bool) -> Any:
        backwards.append(needs_grad_h)
        return backward(*args, needs_grad_h=needs_grad_h)

    monkeypatch.setattr(FusedLayer, "backward", counted)
    model = adapted("llama", "all-linear")
    for name, parameter in model.named_parameters():
        if "layers.0." in name:
            parameter.requires_grad_(False)
    wanted, wanted_gradients = logits_and_gradients(model)
    assert use_fused_layers(model, torch.float32)
    logits, gradients = logits_and_gradients(model)
    assert backwards == [False]  # of the two layers the upper one, and there not as far as its input
    torch.testing.assert_close(logits, wanted, atol=1e-5, rtol=1e-5)
    for key, gradient in gradients.items():
        torch.testing.assert_close(gradient, wanted_gradients[key], atol=1e-4, rtol=1e-3, msg=key)


@pytest.mark.parametrize("targets", ["all-linear", ["o_proj"]])
def test_fp8_layers_are_near_what_they_came_from(targets: Any) -> None:
    torch.manual_seed(0)
    _, base = make_pair("qwen2", num_hidden_layers=2)
    item = shared_pack()
    with torch.no_grad():
        wanted = pack_logits(base, item, torch.float32)
    quantize_to_fp8(base, CPU, skip="score")
    attention = base.model.layers[0].self_attn
    assert isinstance(attention.q_proj, Fp8Linear)
    assert attention.q_proj.shared is attention.v_proj.shared
    assert attention.q_proj.shared.rows[0].shape == (64 + 2 * 32, 64)
    assert type(base.score) is torch.nn.Linear
    model = add_adapter(base, lora_config(r=2, lora_alpha=2, lora_dropout=0.0, target_modules=targets))
    assert {p.dtype for p in model.parameters() if p.requires_grad} == {torch.float32}
    plain, _ = logits_and_gradients(model)
    assert use_fused_layers(model, torch.float32)
    own, gradients = logits_and_gradients(model)
    for logits in (plain, own):
        assert 0.0 < (logits - wanted).norm() / wanted.norm() < 0.25  # FP8's noise, made larger by large weights
    assert all(gradient.isfinite().all() for gradient in gradients.values())


def test_an_fp8_layer_and_its_gradient_are_near_the_matrix_product() -> None:
    torch.manual_seed(0)
    parent = torch.nn.Sequential(torch.nn.Linear(96, 64))
    x = torch.randn(2, 7, 96, requires_grad=True)
    grad = torch.randn(2, 7, 64)
    wanted = parent(x)
    wanted.backward(grad)
    wanted_grad, x.grad = x.grad, None
    quantize_to_fp8(parent, CPU, skip="score")
    got = parent(x)
    got.backward(grad)
    for near, true in ((got, wanted), (x.grad, wanted_grad)):
        assert 0.005 < (near - true).norm() / true.norm() < 0.05


@pytest.mark.parametrize("change", ["qwen3", "dora", "trained-norm", "exact-gelu", "partial-rope"])
def test_what_is_not_computed_here_is_left_as_it_is(change: str) -> None:
    _, base = make_pair("qwen3" if change == "qwen3" else "gemma2")
    if change == "exact-gelu":
        base.config.hidden_activation = "gelu"
    if change == "partial-rope":  # asked about only: the model was made with a whole one
        base.config.partial_rotary_factor = 0.5
    config = LoraConfig(task_type="SEQ_CLS", r=2, target_modules=["q_proj"], use_dora=change == "dora")
    model = get_peft_model(base, config)
    if change == "trained-norm":
        base.model.layers[0].input_layernorm.weight.requires_grad_(True)
    assert not use_fused_layers(model, torch.float32)
    assert not layer_stack(model).checkpoints_single_layers
    assert pack_logits(model, shared_pack(), torch.float32).shape == (3, 3)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("llama", {"sliding_window": 5, "hidden_activation": "silu", "hidden_act": "gelu_pytorch_tanh"}),
        ("mistral", {"sliding_window": None}),
    ],
)
def test_keys_left_over_in_a_configuration_mean_nothing(name: str, changes: dict[str, Any]) -> None:
    _, packed = make_pair(name, num_hidden_layers=2, **changes)
    packed.requires_grad_(False)
    item = shared_pack()
    with torch.no_grad():
        wanted = pack_logits(packed, item, torch.float32)
        assert use_fused_layers(packed, torch.float32)
        torch.testing.assert_close(pack_logits(packed, item, torch.float32), wanted, atol=1e-5, rtol=1e-5)


def test_layers_below_the_first_adapter_are_not_counted_among_those_to_checkpoint() -> None:
    _, base = make_pair("llama")
    config = lora_config(
        r=2, lora_alpha=2, lora_dropout=0.0, target_modules=["q_proj"], layers_to_transform=[2, 3]
    )  # fmt: skip
    model = add_adapter(base, config)
    assert layer_stack(model).trained_layers == 2
    assert use_fused_layers(model, torch.float32)
    layer_stack(model).checkpoint(1)
    kept = [layer.forward.checkpointed for layer in model.get_base_model().model.layers]
    assert kept == [True, True, True, False]


def test_checkpointing_transformers_layers_asks_no_gradient_of_the_embeddings() -> None:
    _, base = make_pair("qwen3")
    model = add_adapter(base, lora_config(r=2, lora_alpha=2, lora_dropout=0.0, target_modules=["q_proj"]))
    for count in (4, 0, 4):
        layer_stack(model).checkpoint(count)
        assert not model.get_input_embeddings()(torch.tensor([[5]])).requires_grad


def test_trained_biases_learn_in_fp8_too() -> None:
    _, base = make_pair("qwen2", num_hidden_layers=2)
    quantize_to_fp8(base, CPU, skip="score")
    model = add_adapter(
        base, lora_config(r=2, lora_alpha=2, lora_dropout=0.0, target_modules=["q_proj"], bias="all")
    )  # fmt: skip
    assert not use_fused_layers(model, torch.float32)
    _, gradients = logits_and_gradients(model)
    biases = [gradient for name, gradient in gradients.items() if name.endswith("bias")]
    assert len(biases) == 2 * 3
    assert all(bias.norm() > 0 for bias in biases)
