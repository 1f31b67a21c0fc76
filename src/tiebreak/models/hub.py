"""Configurations and tokenizers from the hub, a local folder or the package itself, and what to do if they fail."""

from __future__ import annotations

import errno
import json
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from tiebreak.errors import ModelError, TiebreakError
from tiebreak.models.gguf import converted_description, converted_weights, is_gguf
from tiebreak.models.nano import NANO_PATH

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedTokenizerFast

NANO: Final = "nano"
"""The name of the built-in tiny Gemma 2."""


def model_location(name: str) -> str:
    """What transformers loads configuration and tokenizer from: a hub name or a folder."""
    if is_gguf(name):
        return converted_description(name)
    return str(NANO_PATH) if name == NANO else name


def weights_location(name: str) -> str:
    """What transformers loads the weights from: a hub name or a folder."""
    return converted_weights(name) if is_gguf(name) else model_location(name)


def load_tokenizer(name: str, revision: str | None = None) -> PreTrainedTokenizerFast:
    """The tokenizer of a hub name, a local folder, a GGUF file or `nano`.

    Raises:
        ModelError: it cannot be loaded, or has no fast version.
    """
    from transformers import AutoTokenizer

    with translate_load_errors(name):
        tokenizer = AutoTokenizer.from_pretrained(model_location(name), revision=revision, trust_remote_code=False)
    if not tokenizer.is_fast:
        raise ModelError(
            f"The tokenizer of {name} has no fast version. Truncation needs one for its offsets: use another base "
            "model."
        )
    return cast("PreTrainedTokenizerFast", tokenizer)


def load_config(name: str, revision: str | None = None) -> PreTrainedConfig:
    """The configuration of a hub name, a local folder, a GGUF file or `nano`.

    Raises:
        ModelError: it cannot be loaded.
    """
    from transformers import AutoConfig

    _check_location(name)
    with translate_load_errors(name):
        config = AutoConfig.from_pretrained(model_location(name), revision=revision, trust_remote_code=False)
    return cast("PreTrainedConfig", config)


def load_text_config(name: str, revision: str | None = None) -> Any:
    """The configuration of the text model: the inner one where a model also reads images or sound.

    Raises:
        ModelError: it cannot be loaded.
    """
    return load_config(name, revision).get_text_config(decoder=True)


def _check_location(name: str) -> None:
    """Reject files and folders that hold something else than a model."""
    if name == NANO:
        return
    path = Path(name)
    if path.is_file() and not is_gguf(name):
        raise ModelError(f"{name} is a file. A model is a folder with a config.json, a .gguf file or a hub name.")
    card = path / "model" / "tiebreak.json"
    if card.is_file():
        settings = json.loads(card.read_text(encoding="utf-8"))
        start = f"model.start_from={path} with " if settings.get("adapter", True) else ""
        raise ModelError(f"{name} is a run, not a model. Use {start}model.name={settings.get('base_model')}.")
    adapter = path / "adapter_config.json"
    if adapter.is_file() and not (path / "config.json").is_file():
        base = json.loads(adapter.read_text(encoding="utf-8")).get("base_model_name_or_path")
        remedy = (
            f"Use the run as model.start_from={path.parent} with model.name={base}"
            if (path / "tiebreak.json").is_file()
            else f"Merge it into its base, {base}, first (PEFT's merge_and_unload and save_pretrained), and set "
            "model.name to the merged folder"
        )
        raise ModelError(f"{name} is an adapter, not a model. {remedy}.")
    if path.is_dir() and not (path / "config.json").is_file():
        files = sorted(path.glob("*.gguf"))
        remedy = f"Name the GGUF file itself: {files[0]}" if files else "Name a folder that save_pretrained wrote"
        raise ModelError(f"{name} is a folder without a config.json, so it holds no model. {remedy}.")


@contextmanager
def translate_load_errors(name: str) -> Iterator[None]:
    """Turn errors of loading a checkpoint into a ModelError that says what to do."""
    if name != NANO and not Path(name).exists() and (name.startswith((".", "/", "~")) or name.count("/") > 1):
        raise ModelError(
            f"There is no folder {name}. Give a local folder with a config.json, or a hub name "
            "(training: model.name=..., judging: --base-model ...)."
        )
    try:
        yield
    except TiebreakError:
        raise
    except Exception as error:  # libraries raise many kinds of errors for a damaged file
        if type(error).__name__ == "OutOfMemoryError":  # torch's, which need not be imported for a tokenizer
            raise
        advice = _hub_advice(name, error) or _checkpoint_advice(name, error)
        raise ModelError(advice) from error


def _hub_advice(name: str, error: Exception) -> str | None:
    """What to do if the hub did not give the checkpoint; None if that is not the reason."""
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    causes = list(_causes(error))

    def caused_by(*kinds: type[BaseException]) -> bool:
        return any(isinstance(cause, kinds) for cause in causes)

    if caused_by(GatedRepoError):
        return (
            f"{name} is gated. Accept its licence on its hub page, create an access token there, and run "
            "`hf auth login` (or set HF_TOKEN). On Kaggle, add the model to the notebook and use its folder."
        )
    if caused_by(RepositoryNotFoundError):
        return (
            f"The hub has no model {name}, or it is private, and there is no such folder here. Check the "
            "spelling; for a private model, log in with `hf auth login` or set HF_TOKEN."
        )
    if caused_by(RevisionNotFoundError):
        return f"{name} has no such revision on the hub. Check model.revision (a branch, a tag or a commit)."
    if any(getattr(cause, "errno", None) in (errno.ENOSPC, errno.EDQUOT) for cause in causes):
        return f"The disk is full: {name} could not be downloaded. Free some space, or set HF_HOME to another disk."
    local = name == NANO or Path(name).exists()
    if not local and caused_by(LocalEntryNotFoundError, HfHubHTTPError, ConnectionError, TimeoutError, OSError):
        return (
            f"The hub cannot be reached for {name}, and it is neither in the local cache nor a folder here. Check "
            "the network, or download the model elsewhere (`hf download`) and set model.name to its folder."
        )
    return None


def _checkpoint_advice(name: str, error: Exception) -> str:
    """What to do about a checkpoint that cannot be used."""
    if "trust_remote_code" in str(error):
        return (
            f"{name} needs Python code that comes with the checkpoint, and Tiebreak does not execute such code. "
            "Use a checkpoint of a family that transformers itself has."
        )
    if "does not recognize this architecture" in str(error):
        return (
            f"transformers {version('transformers')} does not know the architecture of {name}. Install a newer "
            "transformers, or use another base model."
        )
    return f"{name} cannot be loaded as a decoder-only model: {_first_line(error)}"


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__


def _first_line(error: BaseException) -> str:
    """The first line of a message, and the next one if it only announces that."""
    first, _, rest = str(error).strip().partition("\n")
    if first.rstrip().endswith(":") and rest:
        return f"{first.rstrip()} {rest.strip().partition(chr(10))[0]}"
    return first or type(error).__name__
