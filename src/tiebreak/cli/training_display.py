"""The terminal display of a training run: a table with one row per log, and a progress bar below it."""

from __future__ import annotations

from typing import Any

from rich.progress import Progress, TextColumn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from tiebreak.cli.console import diagnostics, progress_bar

COLUMNS = (("step", 7), ("training loss", 15), ("validation loss", 17), ("accuracy", 10), ("tokens/s", 11))


class TrainingDisplay(TrainerCallback):
    """Prints a row per log; draws the progress bar only in a terminal."""

    def __init__(self) -> None:
        self._progress = progress_bar(TextColumn("{task.description}"), "steps")
        self._task = self._progress.add_task("Training")
        self._row: dict[str, str] = {}
        self._tokenising: Progress | None = None

    def on_tokenised(self, done: int, total: int) -> None:
        """Draw the progress bar of tokenisation."""
        if self._tokenising is None:
            self._tokenising = progress_bar(TextColumn("Tokenising"), "texts")
            self._tokenising.add_task("", total=total)
            self._tokenising.start()
        self._tokenising.update(self._tokenising.task_ids[0], completed=done)
        if done == total:
            self._tokenising.stop()

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Print the header of the table and show the bar."""
        diagnostics.print("".join(f"[bold]{name:>{width}}[/]" for name, width in COLUMNS))
        self._progress.update(self._task, total=state.max_steps, completed=state.global_step)
        self._progress.start()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Advance the bar."""
        activity = "Validating" if control.should_evaluate else "Training"
        self._progress.update(self._task, completed=state.global_step, description=activity)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        """Add the training loss to the row; a validation of the same step may follow."""
        if logs is None or "loss" not in logs:
            return
        self._row = {"training loss": f"{logs['loss']:.4f}", "tokens/s": f"{logs['tokens_per_second']:,.0f}"}
        if not control.should_evaluate:
            self._print_row(state.global_step)

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        """Complete the row with the validation."""
        if metrics is not None:
            self._row |= {
                "validation loss": f"{metrics['eval_loss']:.4f}",
                "accuracy": f"{metrics['eval_accuracy']:.3f}",
            }
            self._print_row(state.global_step)
        self._progress.update(self._task, description="Training")

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Remove the bar."""
        self._progress.stop()

    def close(self) -> None:
        """Remove the bars, also after an error."""
        self._progress.stop()
        if self._tokenising is not None:
            self._tokenising.stop()

    def _print_row(self, step: int) -> None:
        cells = {"step": str(step)} | self._row
        self._progress.console.print("".join(f"{cells.get(name, ''):>{width}}" for name, width in COLUMNS))
        self._row = {}
