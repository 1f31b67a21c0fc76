"""Whether an architecture can be run over packs, found out on a tiny random model of it.

Attention over a pack replaces the model's own masks. That is right for full and sliding-window causal attention and
wrong for everything else: attention in both directions, recurrent layers, ALiBi, masks that the model computes itself,
rotary factors that depend on the longest text of a pass. A list of families would miss options and new families, so
the outputs are compared instead: of a pack, and of transformers' own attention for each text alone.
"""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np
import torch
from torch import nn

from tiebreak.errors import ModelError
from tiebreak.library_logging import quiet_model_loading
from tiebreak.models.attention import ATTENTION
from tiebreak.models.pack_layout import PackLayout
from tiebreak.models.text_classifier import adapt_to_packs
from tiebreak.text import pack

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from transformers import PreTrainedConfig, PreTrainedModel

_LENGTHS: Final = (9, 40, 8, 1, 23)
"""Tokens of the probe's texts; the first two continue a common prefix."""
_PREFIX: Final = 14
_SHORT, _LONG = 12, 512
"""What a limit of the configuration becomes: exceeded by the longest text, or by none."""
_VOCABULARY: Final = 128
_FEED_FORWARD: Final = 32
_TOLERANCE: Final = 1e-4
"""Of the largest output. Right architectures differ by 1e-6, wrong ones by more than 5e-3."""

_LIMITS: Final = (
    "sliding_window",
    "attention_chunk_size",
    "floor_scale",
    "index_topk",
    "original_max_position_embeddings",
)
"""Lengths at which a configuration's attention or rotary factors change."""


@dataclass(frozen=True)
class ProbeResult:
    """What the probe found."""

    deviation: float
    """Largest difference between packed and separate outputs, relative to the largest output."""
    reads_ahead: bool
    """Whether a token's output depends on later tokens."""
    failure: str | None = None
    """Why the model could not be run over a pack at all."""

    @property
    def passed(self) -> bool:
        """Whether packs can be used."""
        return self.failure is None and not self.reads_ahead and self.deviation <= _TOLERANCE


def probe(config: PreTrainedConfig, max_length: int) -> ProbeResult:
    """Run a tiny random model of this text configuration over a pack and over its texts alone, in float32 on the CPU.

    It has the first layers of every kind, few experts, and narrow layers. Windows and context lengths that texts of
    `max_length` tokens exceed are exceeded in the probe; others are not. The state of the random generators is kept.
    """
    key = json.dumps(config.to_dict(), sort_keys=True, default=str)
    if (key, max_length) not in _RESULTS:
        _RESULTS[key, max_length] = _run(config, max_length)
    return _RESULTS[key, max_length]


_RESULTS: Final[dict[tuple[str, int], ProbeResult]] = {}
"""By configuration and length: training and validation of a run load several models of one configuration."""


def _run(config: PreTrainedConfig, max_length: int) -> ProbeResult:
    try:
        with quiet_model_loading(), torch.random.fork_rng(devices=[]), torch.device("cpu"):
            torch.manual_seed(0)
            return _compare(shrunk_config(config, max_length))
    except ModelError as error:
        return ProbeResult(float("nan"), False, str(error))
    except Exception as error:  # any failure of a model that is not known
        return ProbeResult(float("nan"), False, f"{type(error).__name__}: {error}".partition("\n")[0])


def _compare(config: PreTrainedConfig) -> ProbeResult:
    for_packs = copy.deepcopy(config)
    adapt_to_packs(for_packs)
    plain, packed = tiny_model(config, "eager"), tiny_model(for_packs, ATTENTION)
    packed.load_state_dict(plain.state_dict())
    rng = np.random.default_rng(0)
    prefix, *rest = (rng.integers(5, _VOCABULARY, size=(n,), dtype=np.int32) for n in (_PREFIX, *_LENGTHS))
    texts = [np.concatenate([prefix, text]) for text in rest[:2]] + rest[2:]
    with torch.no_grad():
        alone = torch.stack([_hidden(plain, text)[-1] for text in texts])
        start = _hidden(plain, texts[1][:-4])
        reads_ahead = _relative(_hidden(plain, texts[1])[: len(start)], start) > _TOLERANCE
        together = torch.empty_like(alone)
        for item in pack(texts, tokens_per_pass=sum(map(len, texts)), groups=[0, 0, 1, 2, 3]):
            layout = PackLayout(item, torch.device("cpu"))
            hidden = _hidden(packed, item.input_ids, position_ids=_row(item.positions), pack_layout=layout)
            together[torch.as_tensor(item.sequences)] = hidden[layout.pooled]
    return ProbeResult(_relative(together, alone), reads_ahead)


def tiny_model(config: PreTrainedConfig, attention: str) -> PreTrainedModel:
    """A model of this configuration with random weights, large enough that attention is far from uniform."""
    from transformers import AutoModel

    model: Any = AutoModel.from_config(copy.deepcopy(config), attn_implementation=attention, dtype=torch.float32)
    deviation = 1.6 / config.hidden_size**0.5
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=deviation if parameter.ndim > 1 else 0.2)
    return cast("PreTrainedModel", model.eval())


def _row(values: NDArray[Any]) -> torch.Tensor:
    return torch.as_tensor(values, dtype=torch.long)[None]


def _hidden(model: PreTrainedModel, ids: NDArray[Any], **more: Any) -> torch.Tensor:
    output: torch.Tensor = model(input_ids=_row(ids), use_cache=False, **more).last_hidden_state[0]
    return output


def _relative(outputs: torch.Tensor, expected: torch.Tensor) -> float:
    difference = (outputs - expected).abs().max() / expected.abs().max()
    return float(difference) if difference.isfinite() else float("inf")


def shrunk_config(config: PreTrainedConfig, max_length: int) -> PreTrainedConfig:
    """A configuration of the same architecture with few, narrow layers; see `probe`."""
    small: Any = copy.deepcopy(config)
    _keep_first_layers(small)
    small.vocab_size = _VOCABULARY
    for name in ("pad_token_id", "bos_token_id", "eos_token_id"):
        if getattr(small, name, None) is not None:
            setattr(small, name, 0)
    for name in _integers(small, "vocab_size_per_layer_input"):
        setattr(small, name, _VOCABULARY)
    _narrow(small)
    for name, value in _integers(small, *_LIMITS).items():
        setattr(small, name, _limit(value, max_length))
    context = getattr(small, "max_position_embeddings", None)
    if isinstance(context, int):
        small.max_position_embeddings = _limit(context, max_length)
    _limit_rope(getattr(small, "rope_parameters", None), max_length)
    return small  # type: ignore[no-any-return]


def _limit(value: int, max_length: int) -> int:
    return _SHORT if value < max_length else _LONG


def _limit_rope(rope: object, max_length: int) -> None:
    """Change the lengths in `rope_parameters`, which may hold a dictionary for each kind of layers."""
    if not isinstance(rope, dict):
        return
    for key, value in rope.items():
        if key in _LIMITS and isinstance(value, int):
            rope[key] = _limit(value, max_length)
        _limit_rope(value, max_length)


def _integers(config: Any, *names: str) -> dict[str, int]:
    """The attributes among `names` that are positive integers."""
    values = {name: getattr(config, name, None) for name in names}
    return {name: value for name, value in values.items() if type(value) is int and value > 0}


def _keep_first_layers(config: Any) -> None:
    """Keep as many layers as show every kind, and the per-layer lists' entries for them."""
    layers = config.num_hidden_layers
    kinds = list(getattr(config, "layer_types", None) or [])
    period = max((kinds.index(kind) + 1 for kind in set(kinds)), default=2)
    shared = getattr(config, "num_kv_shared_layers", None) or 0
    kept = min(layers, 2 * period if shared else max(period, 4))
    for name, value in list(vars(config).items()):
        if isinstance(value, list | tuple) and len(value) == layers > kept:
            setattr(config, name, type(value)(value[:kept]))
    if shared:
        config.num_kv_shared_layers = min(shared, kept // 2)
    for name, value in _integers(config, "max_window_layers", "first_k_dense_replace").items():
        setattr(config, name, min(value, kept // 2))
    config.num_hidden_layers = kept


def _narrow(config: Any) -> None:
    """Fewer heads and experts, a narrow feed-forward, and a hidden size that fits the heads."""
    for name in ("intermediate_size", "ffn_dim", "n_inner", "intermediate_size_mlp", "ffn_hidden_size",
                 "moe_intermediate_size", "shared_expert_intermediate_size", "shared_intermediate_size"):  # fmt: skip
        value = getattr(config, name, None)
        if isinstance(value, list):
            setattr(config, name, [_FEED_FORWARD] * len(value))
        elif type(value) is int and value > 0:
            setattr(config, name, min(value, _FEED_FORWARD))
    chosen = max(_integers(config, "num_experts_per_tok", "moe_topk", "top_k_experts").values(), default=1)
    for name, value in _integers(config, "num_experts", "num_local_experts", "n_routed_experts").items():
        setattr(config, name, min(value, max(4, 2 * chosen)))
    for name in _integers(config, "n_group", "topk_group"):
        setattr(config, name, 1)
    _narrow_heads(config)


def _narrow_heads(config: Any) -> None:
    heads, hidden = getattr(config, "num_attention_heads", None), config.hidden_size
    if type(heads) is not int:
        return
    kv_heads = _integers(config, "num_key_value_heads").get("num_key_value_heads", heads)
    dim = getattr(config, "head_dim", None) or hidden // heads
    kept_kv = min(kv_heads, 2)
    kept = kept_kv * (heads // kv_heads)
    if kept >= heads:
        return
    config.num_attention_heads = kept
    for name in _integers(config, "num_key_value_heads", "num_kv_heads", "num_global_key_value_heads"):
        setattr(config, name, kept_kv)
    config.hidden_size = kept * dim
    for name, value in _integers(config, "word_embed_proj_dim").items():
        setattr(config, name, kept * dim if value == hidden else value)
