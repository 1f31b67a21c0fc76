"""Optional dependencies: checks that an extra is installed and names the command that installs it."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Final, Literal

from tiebreak.errors import TiebreakError

Extra = Literal["train", "serve", "gguf"]

_PACKAGES: Final[dict[Extra, tuple[str, ...]]] = {
    "train": ("torch", "transformers", "peft", "accelerate", "bitsandbytes"),
    "serve": ("fastapi", "uvicorn", "prometheus_client"),
    "gguf": ("gguf",),
}
"""The packages that an extra adds to the core install, by the name under which they are imported."""


def require_extra(extra: Extra, purpose: str) -> None:
    """Check that the packages of an extra are installed. Nothing is imported.

    Args:
        extra: the extra of `pyproject.toml`.
        purpose: the subject of the message, as in `training a language model`.

    Raises:
        TiebreakError: a package is missing. The message names it, and the command that installs it.
    """
    missing = [package for package in _PACKAGES[extra] if find_spec(package) is None]
    if missing:
        verb = "is" if len(missing) == 1 else "are"
        names = ", ".join(name.replace("_", "-") for name in missing)
        raise TiebreakError(
            f"{purpose[:1].upper()}{purpose[1:]} needs {names}, which {verb} not installed. "
            f"Install with: pip install 'tiebreak[{extra}]'"
        )
