"""Writing the files of an export."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tiebreak.export.chat_template import install_chat_template
from tiebreak.export.drift import comparisons_to_measure_on, exported_outputs, judge_outputs, measure_drift
from tiebreak.export.merge import as_transformers_classifier, check_adapter, check_family, merged_classifier
from tiebreak.export.model_card import model_card
from tiebreak.export.result import ExportDtype, ExportReport
from tiebreak.library_logging import quiet_model_loading
from tiebreak.models import (
    CONVERSATION_TEMPLATE,
    LABELS,
    NANO,
    JudgeCard,
    card_encoder,
    load_config,
    load_tokenizer,
    read_adapter_card,
)
from tiebreak.models.nano import NANO_PATH
from tiebreak.models.precision import HEAD
from tiebreak.runs import RunFolder, translate_write_errors, write_json, write_text
from tiebreak.text import CHAT, AddedTokens, set_added_tokens
from tiebreak.types import Comparison, Conversation

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

SHARD: Final = "5GB"
"""The maximum size of a file of merged weights."""


def write_export(
    source: RunFolder,
    draft: Path,
    target: Path,
    *,
    dtype: ExportDtype,
    adapter_only: bool,
    base_model: str | None,
    on: Path | None,
    skip_drift: bool,
    log: Callable[[str], None],
    on_stage: Callable[[str], None],
) -> ExportReport:
    """`export_run`, into the folder `draft`, which is renamed to `target` afterwards."""
    card = read_adapter_card(source.model)
    check_family(card, base_model, adapter_only=adapter_only)
    check_adapter(source.model)
    on_what, rows = ("", []) if skip_drift else comparisons_to_measure_on(source, on, log)
    with quiet_model_loading():
        before = drift = None
        if rows:
            on_stage("Loading the run's own judge")
            before = judge_outputs(source.path, base_model, card, rows, _count(on_stage, "Judging with the run"))
        has_chat_template = _write_tokenizer(draft, source, card, log)
        on_stage("Writing the adapter" if adapter_only else "Merging")
        if adapter_only:
            architecture, written = "adapter", _write_adapter(draft, source, base_model)
        else:
            architecture, written = _write_merged(draft, source, card, base_model, dtype)
        if before is not None:
            on_stage("Reading the export")
            base = _location_of_base(draft) if adapter_only else None
            after, computed_in = exported_outputs(
                draft, source.model, base, card, rows, _count(on_stage, "Judging with the export")
            )
            drift = measure_drift(on_what, rows, before, after, computed_in)
        report = ExportReport(
            folder=target,
            architecture=architecture,
            labels=len(LABELS[card.head]),
            dtype=written,
            bytes=sum(file.stat().st_size for file in draft.glob("*.safetensors")),
            has_chat_template=has_chat_template,
            drift=drift,
        )
        with translate_write_errors(target):
            shutil.copyfile(source.model / "tiebreak.json", draft / "tiebreak.json")
        write_json(draft / "export.json", {k: v for k, v in asdict(report).items() if k != "folder"})
        write_text(draft / "README.md", model_card(report, card, _family(card, base_model), source))
    return report


def _count(on_stage: Callable[[str], None], what: str) -> Callable[[int, int], None]:
    return lambda done, total: on_stage(f"{what}: {done:,} of {total:,} texts")


def _write_tokenizer(draft: Path, source: RunFolder, card: JudgeCard, log: Callable[[str], None]) -> bool:
    """Write the tokenizer, with a padding token and the chat template; returns whether it has the template."""
    tokenizer = load_tokenizer(str(source.model))
    added = card.added_tokens or AddedTokens.bos_only(tokenizer)
    if added != AddedTokens.of(tokenizer):  # a run of Tiebreak 0.1, which read other tokens
        set_added_tokens(tokenizer, added)
    tokenizer.padding_side = "right"  # positions count from the first token of the text, as in the judge
    _choose_pad_token(tokenizer, card)
    conversation_template = str(tokenizer.chat_template)
    installed = install_chat_template(tokenizer, card)
    if not installed:
        log(
            "This tokenizer's chat template would not give the tokens that the judge reads, so the export has none. "
            "The model card shows how to render the text."
        )
    with translate_write_errors(draft):
        tokenizer.save_pretrained(str(draft))
        if card.template == CHAT and card.head == "pairwise":  # to read comparisons as the run does
            (draft / CONVERSATION_TEMPLATE).write_text(conversation_template, encoding="utf-8")
    return installed


def _choose_pad_token(tokenizer: PreTrainedTokenizerFast, card: JudgeCard) -> None:
    """Choose a padding token that no text ends with: transformers classifiers pool the last other token.

    Without such a token there is none, and texts are read one at a time.
    """
    row = Comparison(("",), ("",), ("",)) if card.head == "pairwise" else Conversation(("",), ("",))
    last = card_encoder(card, tokenizer).encode([row])[0].ids[-1]
    special = [token.content for token in tokenizer.added_tokens_decoder.values() if token.special]
    preferred = (tokenizer.pad_token, tokenizer.eos_token, tokenizer.bos_token, tokenizer.unk_token)
    usable = (token for token in (*preferred, *special) if token and tokenizer.convert_tokens_to_ids(token) != last)
    tokenizer.pad_token = next(usable, None)


def _write_merged(
    draft: Path, source: RunFolder, card: JudgeCard, base_model: str | None, dtype: ExportDtype
) -> tuple[str, str]:
    """Write the merged classifier; returns its class and the type of its weights."""
    model = as_transformers_classifier(merged_classifier(card, source.model, base_model=base_model, dtype=dtype))
    config = model.config
    config.get_text_config().pad_token_id = config.pad_token_id = load_tokenizer(str(draft)).pad_token_id
    config.problem_type = "regression" if card.head == "pointwise" else "single_label_classification"
    with translate_write_errors(draft):
        model.save_pretrained(str(draft), max_shard_size=SHARD)
    return type(model).__name__, str(model.dtype).removeprefix("torch.")


def _write_adapter(draft: Path, source: RunFolder, base_model: str | None) -> str:
    """Write adapter and head without the tie parameter; returns the type of their weights."""
    from safetensors.torch import load_file, save_file

    weights = load_file(source.model / "adapter_model.safetensors")
    kept = {name: weight for name, weight in weights.items() if not name.endswith(f"{HEAD}.tie_parameter")}
    with translate_write_errors(draft):
        save_file(kept, draft / "adapter_model.safetensors", metadata={"format": "pt"})
    config = json.loads((source.model / "adapter_config.json").read_text(encoding="utf-8"))
    if base_model is not None:
        config["base_model_name_or_path"] = str(NANO_PATH) if base_model == NANO else base_model
    write_json(draft / "adapter_config.json", config)
    return str(next(iter(kept.values())).dtype).removeprefix("torch.")


def _location_of_base(draft: Path) -> str:
    """The base model that the written adapter names."""
    base = json.loads((draft / "adapter_config.json").read_text(encoding="utf-8"))["base_model_name_or_path"]
    return str(base)


def _family(card: JudgeCard, base_model: str | None) -> str:
    return str(load_config(base_model or card.base_model, card.revision).model_type)
