"""The run folder: the names of its files, and reading and writing them whole or not at all.

runs/NAME/
  recipe.yaml          the recipe, every value written out
  environment.json     versions, hardware, git state
  history.jsonl        a line a log or validation
  checkpoints/         resumable, the Trainer's
  model/               adapter and head, tokenizer, tiebreak.json; of a classical judge baseline.json and its arrays
  validation.parquet   the validation rows: texts, votes, tags, and the hash of the file they came from
  training_prompts.npy hashes of the prompts that the run learned from
  predictions.parquet  the validation rows' probabilities
  metrics.json         how good they are
  report.html          all of it, to be read; made later, as are the two it rests on:
  baselines/           classical judges fitted to the same votes
  orders.parquet       the validation rows' probabilities in both orders
  .lock                held by the process that trains in it
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Final

from tiebreak.errors import RunError
from tiebreak.runs.files import translate_write_errors, write_text

BASELINE_CARD: Final = "baseline.json"
"""In a run's `model` folder: its judge is a classical one."""

BLEND_CARD: Final = "blend.json"
"""In a run's `model` folder: its judge is the mean of others."""


def _locked(file: IO[str]) -> bool:
    """Lock an open file for this process alone; False if another has. Where files have no locks, it is ours."""
    try:
        import fcntl
    except ImportError:  # not a Unix
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # some network file systems have no locks
        return True
    return True


class RunFolder:
    """One run's folder. Making the object touches nothing on the disk."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.recipe = self.path / "recipe.yaml"
        self.environment = self.path / "environment.json"
        self.history = self.path / "history.jsonl"
        self.checkpoints = self.path / "checkpoints"
        self.tensorboard = self.path / "tensorboard"
        self.model = self.path / "model"
        self.predictions = self.path / "predictions.parquet"
        self.validation_rows = self.path / "validation.parquet"
        self.training_prompts = self.path / "training_prompts.npy"
        self.orders = self.path / "orders.parquet"
        self.baselines = self.path / "baselines"
        self.metrics = self.path / "metrics.json"
        self.lock_file = self.path / ".lock"

    def __str__(self) -> str:
        return str(self.path)

    @property
    def holds_a_run(self) -> bool:
        """Whether a run was begun here."""
        return self.recipe.exists() or self.holds_a_blend

    @property
    def is_finished(self) -> bool:
        """Whether a run came to its end here: the metrics are what a run writes last."""
        return self.metrics.exists()

    @property
    def holds_a_blend(self) -> bool:
        """Whether the judge here is the mean of other runs'."""
        return (self.model / BLEND_CARD).is_file()

    @property
    def holds_a_baseline(self) -> bool:
        """Whether the judge here is a classical one, without a base model."""
        return (self.model / BASELINE_CARD).is_file()

    def check_has_language_model(self, what: str) -> None:
        """Say that a classical judge has no language model for it.

        Raises:
            RunError: the judge here is a classical one; `what` begins the message.
        """
        if self.holds_a_baseline:
            raise RunError(f"{what}: {self} holds a classical judge (baseline), which has no language model in it.")
        if self.holds_a_blend:
            raise RunError(f"{what}: {self} is a blend, which has no model of its own. Name one of its members.")

    @contextmanager
    def lock(self, *, resume: bool) -> Iterator[None]:
        """Keep every other process from training in this folder; one that no run was begun in is left as it was.

        The lock is the kernel's and ends with the process, however that ends.

        Raises:
            RunError: another process trains here, or what `check_available` raises.
        """
        there = self.path.exists()
        if there and not self.lock_file.exists():  # so that nothing is written into a folder that is none of ours
            self.check_available(resume=resume)
        with translate_write_errors(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            file = self.lock_file.open("a")
        with file:
            if not _locked(file):
                raise RunError(
                    f"Another process is training in {self}. Wait for it to end, or start another run: "
                    "output=runs/NAME."
                )
            try:
                self.check_available(resume=resume)
                yield
            finally:
                if not self.holds_a_run:
                    self.lock_file.unlink(missing_ok=True)
                    if not there:
                        with suppress(OSError):
                            self.path.rmdir()

    @contextmanager
    def create(self) -> Iterator[None]:
        """Lock the folder for a new run that is made in one go; after an error nothing of it is left.

        Raises:
            RunError: as in `lock`.
        """
        with self.lock(resume=False):
            try:
                yield
            except BaseException:
                self.abandon()
                raise

    def check_available(self, *, resume: bool) -> None:
        """Say early that no run can be begun here, or taken up again.

        Raises:
            RunError: the folder holds a run and `resume` is off, or holds something else.
        """
        if self.holds_a_run and not resume:
            raise RunError(
                f"{self} already holds a run. Go on with it: --resume. Keep it and start another: output=runs/NAME. "
                f"Start over: delete {self} first."
            )
        if self.path.exists() and not self.path.is_dir():
            raise RunError(f"{self} is a file. A run needs a folder: output=runs/NAME.")
        if not self.holds_a_run and self.path.is_dir() and set(self.path.iterdir()) - {self.lock_file}:
            raise RunError(f"{self} is not empty and holds no run. Choose another folder: output=runs/NAME.")

    def check_trained(self) -> None:
        """Say early, before anything is loaded, that there is no judge here.

        Raises:
            RunError: this is no run's folder, or its training did not come to an end.
        """
        if not self.path.exists():
            raise RunError(f"There is no run folder {self}. `tiebreak train` and `tiebreak demo` make one.")
        if not self.path.is_dir():
            raise RunError(f"{self} is a file. Name the folder of a finished run (runs/NAME).")
        if (self.path / "export.json").is_file():
            raise RunError(f"{self} is an export, not a run. Name the run that it was made from.")
        if (self.path / "tiebreak.json").is_file() or (self.path / BASELINE_CARD).is_file():
            raise RunError(f"{self} is the model folder of a run. Name the run's: {self.path.absolute().parent}.")
        if (self.model / "tiebreak.json").is_file() or self.holds_a_baseline or self.holds_a_blend:
            return
        if (self.path / "config.json").is_file():
            raise RunError(
                f"{self} is a model's folder, not a run's. Train a judge on it: tiebreak train RECIPE "
                f"model.name={self}."
            )
        remedy = (
            f"Its training did not come to an end: tiebreak train {self.recipe} --resume goes on with it."
            if any(self.checkpoints.glob("checkpoint-*"))
            else "Name the folder of a finished run (runs/NAME), as `tiebreak train` and `tiebreak demo` make it."
        )
        raise RunError(f"{self} holds no trained model. {remedy}")

    def begin(self, recipe: str) -> None:
        """Take the folder for a run of this recipe (as YAML).

        Raises:
            RunError: the disk is full, or the folder cannot be written to.
        """
        write_text(self.recipe, recipe)

    def abandon(self) -> None:
        """Give up a run that never made a step, so that its folder is free again."""
        if not any(self.checkpoints.glob("checkpoint-*")) and not self.is_finished:
            shutil.rmtree(self.path, ignore_errors=True)

    def write_history(self, lines: Sequence[Mapping[str, Any]]) -> None:
        """Write the history, one JSON object a line."""
        write_text(self.history, "".join(json.dumps(line) + "\n" for line in lines))

    def read_history(self) -> list[dict[str, Any]]:
        """The history's lines; none where nothing was logged yet."""
        if not self.history.exists():
            return []
        return [json.loads(line) for line in self.history.read_text(encoding="utf-8").splitlines()]

    def latest_checkpoint(self) -> Path | None:
        """The newest checkpoint that was written to its end; those that were not are removed.

        The Trainer writes a checkpoint's `trainer_state.json` last, so that file says whether the others are whole.
        """
        whole: dict[int, Path] = {}
        for folder in self.checkpoints.glob("checkpoint-*"):
            try:
                step = json.loads((folder / "trainer_state.json").read_text(encoding="utf-8"))["global_step"]
                whole[int(step)] = folder
            except (OSError, ValueError, KeyError, TypeError):
                shutil.rmtree(folder, ignore_errors=True)
        return whole[max(whole)] if whole else None
