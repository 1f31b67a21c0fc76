"""What can go wrong, as one small tree:

    TiebreakError
    ├── DataError      a file of votes, or a row in it, cannot be used
    │   └── ComparisonsError  comparisons given from Python do not make rewards; also a ValueError
    ├── RecipeError    a recipe holds an unknown key or an impossible value
    ├── RunError       a run folder is missing, incomplete, taken or full
    ├── ModelError     a checkpoint cannot be had, or is not what was asked for
    ├── MemoryBudgetError  not even the smallest pass fits into memory
    └── ServerError    a Tiebreak server refused, or could not be reached

Every message says what is wrong, with the value, and what to do about it. The command line prints the
message alone and exits with status 1; anything that is not a `TiebreakError` is a bug and keeps its traceback.
"""


class TiebreakError(Exception):
    """The root of everything Tiebreak raises on purpose."""


class DataError(TiebreakError):
    """A file of votes, or a row in it, cannot be used."""


class ComparisonsError(DataError, ValueError):
    """Comparisons given from Python do not make rewards: of answers that are not there, or are not linked."""


class RecipeError(TiebreakError):
    """A recipe holds an unknown key or an impossible value."""


class RunError(TiebreakError):
    """A run folder is missing, incomplete, already taken, or could not be written."""


class ModelError(TiebreakError):
    """A checkpoint cannot be had, or is not what was asked for."""


class MemoryBudgetError(TiebreakError):
    """Not even the smallest pass fits into the device's memory."""


class ServerError(TiebreakError):
    """A Tiebreak server refused, or could not be reached.

    Args:
        message: what is wrong, and what to do about it.
        status: of HTTP; None where there was no answer, or one that is no Tiebreak server's.
        type: the server's name for it (`busy`, `too_large`, `unauthorized` ...); None where it gave none.
    """

    def __init__(self, message: str, *, status: int | None = None, type: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.type = type
