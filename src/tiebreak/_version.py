"""The version of Tiebreak."""

from importlib.metadata import PackageNotFoundError, version
from typing import Final


def installed_version(package: str) -> str | None:
    """The version of an installed package; None if it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


RELEASE: Final = installed_version("tiebreak") or "from source"
"""The installed version, or `from source` if the sources are used without an installation."""
