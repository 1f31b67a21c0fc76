"""What can go wrong, as one small tree:

    TiebreakError
    ├── DataError      a file of votes, or a row in it, cannot be used
    │   └── ComparisonsError  comparisons given from Python do not make rewards; also a ValueError
    ├── RecipeError    a recipe holds an unknown key or an impossible value
    ├── RunError       a run folder is missing, incomplete, taken or full
    ├── ModelError     a checkpoint cannot be had, or is not what was asked for
    └── MemoryBudgetError  not even the smallest pass fits into memory

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
