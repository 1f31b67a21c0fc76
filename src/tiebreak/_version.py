"""Which version of Tiebreak this is."""

from importlib.metadata import PackageNotFoundError, version
from typing import Final


def installed_version(package: str) -> str | None:
    """The version of an installed package; None where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


RELEASE: Final = installed_version("tiebreak") or "from source"
"""Its own; sources on the path that nobody installed have none."""
