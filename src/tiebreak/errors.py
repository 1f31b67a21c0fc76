"""The exceptions that Tiebreak raises:

    TiebreakError
    ├── DataError           a file of votes, or a row in it, cannot be used
    │   └── ComparisonsError  comparisons given from Python do not determine rewards; also a ValueError
    ├── RecipeError         a recipe has an unknown key or an invalid value
    ├── RunError            a run folder is missing, incomplete, locked or cannot be written
    ├── ModelError          a checkpoint cannot be loaded, or is not the expected one
    ├── MemoryBudgetError   not even the smallest pass fits into memory
    └── ServerError         a Tiebreak server refused a request, or could not be reached

Every message says what is wrong, the value, and what to do. The command line prints only the message and exits with
status 1. Any other exception is a bug and keeps its traceback.
"""


class TiebreakError(Exception):
    """Base class of all exceptions that Tiebreak raises."""


class DataError(TiebreakError):
    """A file of votes, or a row in it, cannot be used."""


class ComparisonsError(DataError, ValueError):
    """Comparisons given from Python do not determine rewards: an answer is missing, or answers are not connected."""


class RecipeError(TiebreakError):
    """A recipe has an unknown key or an invalid value."""


class RunError(TiebreakError):
    """A run folder is missing, incomplete, locked by another process, or cannot be written."""


class ModelError(TiebreakError):
    """A checkpoint cannot be loaded, or is not the expected one."""


class MemoryBudgetError(TiebreakError):
    """Not even the smallest pass fits into the memory of the device."""


class ServerError(TiebreakError):
    """A Tiebreak server refused a request, or could not be reached.

    Args:
        message: what is wrong, and what to do.
        status: the HTTP status; None if there was no response, or one that is not from a Tiebreak server.
        type: the type of the error in the response (`busy`, `too_large`, `unauthorized` ...); None if it has none.
    """

    def __init__(self, message: str, *, status: int | None = None, type: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.type = type
