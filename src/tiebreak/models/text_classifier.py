"""The classifier that is trained and judged with: a transformer body and a float32 head on each text's last token."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from torch import nn

from tiebreak.models.precision import HEAD

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel


ATTENTION_DROPOUT: Final = ("attention_dropout", "attn_pdrop", "attention_probs_dropout_prob")
"""Names of the dropout inside attention in configurations."""


class TextClassifier(nn.Module):
    """A body of transformers' `AutoModel`, and a linear head under the name `score`.

    The body has the name that transformers gives it in its own sequence classifiers (`model`, `transformer`, ...), so
    adapters and exported weights have the same names as there. Families without such a class work in the same way.

    Args:
        body: the text model alone: no vision or audio encoder.
        head: float32, from the hidden size to the labels.
    """

    def __init__(self, body: PreTrainedModel, head: nn.Linear) -> None:
        super().__init__()
        self.base_model_prefix = body.base_model_prefix or "model"
        # Not `config`: from that, PEFT would see a mixture of experts and put adapters on its experts, under the names
        # that they had before transformers 5.
        self.text_config: PreTrainedConfig = body.config
        # PEFT writes it into the adapter's configuration.
        self.name_or_path = str(getattr(body, "name_or_path", ""))
        setattr(self, self.base_model_prefix, body)
        setattr(self, HEAD, head)


def text_body(model: PreTrainedModel) -> PreTrainedModel:
    """The text model of a composite (Gemma 3, Mistral 3, ...); any other model itself.

    Vision and audio encoders are not part of it.
    """
    if model.config.get_text_config() is model.config:
        return model
    composite: Any = model
    text = composite.language_model if hasattr(model, "language_model") else composite.text_model
    # That of Llama 4 is a language model with a head.
    return cast("PreTrainedModel", text if hasattr(text, "embed_tokens") else text.model)


def decoder_layers(body: nn.Module) -> nn.ModuleList:
    """The decoder layers of a transformer body, whatever their attribute is called.

    Raises:
        LookupError: the body has no list of as many modules as its configuration has layers.
    """
    count = cast(Any, body).config.num_hidden_layers
    for module in body.modules():
        if isinstance(module, nn.ModuleList) and len(module) == count:
            return module
    raise LookupError(f"{type(body).__name__} has no list of {count} layers")


def adapt_to_packs(config: PreTrainedConfig) -> None:
    """Change a text configuration for packs: without attention dropout, and without scales by place in the pass.

    Llama 4 scales queries by their place in a pass, from `floor_scale` on. Texts are shorter (`check_base`), so the
    scale is 1 for each text alone, and off is exact.
    """
    for key in ATTENTION_DROPOUT:
        if getattr(config, key, None):
            setattr(config, key, 0.0)
    if getattr(config, "attn_temperature_tuning", False):
        cast(Any, config).attn_temperature_tuning = False
