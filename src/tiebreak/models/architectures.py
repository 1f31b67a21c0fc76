"""The model families whose decoder layers have a fused implementation, and how these families differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Gating = Literal["gelu_tanh", "silu"]

GATINGS: Final[dict[str, Gating]] = {"gelu_pytorch_tanh": "gelu_tanh", "silu": "silu"}
"""The activation of the gated feed-forward, by its name in a configuration."""


@dataclass(frozen=True)
class Architecture:
    """How the decoder layers of one model family differ from those of another."""

    post_norms: bool
    """Whether the outputs of attention and feed-forward are normalized before they are added to the residual stream."""
    gain_offset: float
    """Added to a norm's weight: Gemma stores the gain minus one."""
    activation_key: str = "hidden_act"
    """The configuration key of the feed-forward's activation. Other activation keys may be present and are ignored."""
    window_key: str | None = None
    """The configuration key of the sliding window, where attention modules have no such attribute."""


ARCHITECTURES: Final = {
    "gemma": Architecture(post_norms=False, gain_offset=1.0),
    "gemma2": Architecture(post_norms=True, gain_offset=1.0, activation_key="hidden_activation"),
    "llama": Architecture(post_norms=False, gain_offset=0.0),
    "mistral": Architecture(post_norms=False, gain_offset=0.0, window_key="sliding_window"),
    "qwen2": Architecture(post_norms=False, gain_offset=0.0),
}
"""By transformers' model type."""
