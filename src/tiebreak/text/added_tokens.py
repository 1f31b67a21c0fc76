"""The special tokens that a tokenizer itself puts in front of a text and behind it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tiebreak.errors import ModelError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

_PROBE = "a b"


@dataclass(frozen=True, slots=True)
class AddedTokens:
    """Token ids around every text: `<bos>` (Gemma), `[gMASK]<sop>` (GLM-4), `<bos>` and `<eos>`, or none (Qwen)."""

    prefix: tuple[int, ...] = ()
    suffix: tuple[int, ...] = ()

    @property
    def count(self) -> int:
        """The number of added tokens."""
        return len(self.prefix) + len(self.suffix)

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerFast) -> AddedTokens:
        """Those that the tokenizer adds to a plain text when it is called.

        Raises:
            ModelError: the tokenizer changes the text itself as well, so that no prefix and suffix exist.
        """
        full: list[int] = tokenizer(_PROBE)["input_ids"]
        plain: list[int] = tokenizer(_PROBE, add_special_tokens=False)["input_ids"]
        alone: list[int] = tokenizer("")["input_ids"]
        added = len(full) - len(plain)
        for start in range(added + 1):
            prefix, suffix = full[:start], full[start + len(plain) :]
            if full[start : start + len(plain)] == plain and prefix + suffix == alone:
                return cls(tuple(prefix), tuple(suffix))
        raise ModelError(
            f"The tokenizer reads {_PROBE!r} as {plain} without special tokens and as {full} with them: it does not "
            "only add tokens around a text. Use a base model with another tokenizer."
        )

    @classmethod
    def bos_only(cls, tokenizer: PreTrainedTokenizerFast) -> AddedTokens:
        """The BOS if the tokenizer starts texts with it, and nothing else, as Tiebreak 0.1 encoded texts."""
        bos = tokenizer.bos_token_id
        return cls((bos,)) if bos is not None and tokenizer("a")["input_ids"][:1] == [bos] else cls()

    def text(self, tokenizer: PreTrainedTokenizerFast) -> tuple[str, str]:
        """Prefix and suffix, spelled out."""
        before, after = (
            "".join(tokenizer.convert_ids_to_tokens(list(ids))) if ids else "" for ids in (self.prefix, self.suffix)
        )
        return before, after


def set_added_tokens(tokenizer: PreTrainedTokenizerFast, added: AddedTokens) -> None:
    """Make the tokenizer add exactly these tokens to single texts, also after it is saved and loaded."""
    from tokenizers import processors

    ids = dict.fromkeys((*added.prefix, *added.suffix))
    names = {index: str(tokenizer.convert_ids_to_tokens(index)) for index in ids}
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single=[*(names[i] for i in added.prefix), "$A", *(names[i] for i in added.suffix)],
        special_tokens=[(name, index) for index, name in names.items()],
    )
    for option in ("add_bos_token", "add_eos_token"):  # when a tokenizer is loaded, they replace its post-processor
        tokenizer.init_kwargs.pop(option, None)
