"""What is wrong with one row, collected while its cells are read."""

from __future__ import annotations

from types import TracebackType

from tiebreak.data.issues import Kind, Problem, Unit, UnreadableError, severity_of


class RowReport:
    """The problems of one row, in the order they were found.

    As a context it takes the `UnreadableError` raised inside and lets the row's next cell be looked at.
    """

    def __init__(self, line: int, unit: Unit) -> None:
        self.id = ""
        self.problems: list[Problem] = []
        self._line = line
        self._unit: Unit = unit

    def add(self, column: str, kind: Kind, message: str) -> None:
        """Files a problem under a column."""
        self.problems.append(Problem(self._line, self.id, column, kind, message, severity_of(kind), self._unit))

    def unreadable(self) -> bool:
        """Whether anything found so far keeps the row from being a comparison."""
        return any(problem.severity == "unreadable" for problem in self.problems)

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if not isinstance(error, UnreadableError):
            return False
        self.add(error.column, error.kind, error.message)
        return True
