"""The run folder: the names of its files, its lock, and checks of its state.

runs/NAME/
  recipe.yaml           the recipe with every value
  environment.json      versions, hardware, git state
  validation.parquet    the validation rows: texts, votes, tags, and the hash of the file they came from
  training_prompts.npy  hashes of the prompts that the run learned from
  history.jsonl         one line per log or validation
  checkpoints/          the Trainer's, to resume from
  tensorboard/          its logs, if the recipe asks for them
  model/                adapter and head, tokenizer, tiebreak.json; for a baseline: baseline.json and its arrays
  predictions.parquet   the validation rows' probabilities
  orders.parquet        the validation rows' probabilities in both orders of the answers
  metrics.json          metrics of these probabilities; written last
  baselines/            baselines fitted to the same votes
  report.html           the report
  .lock                 locked by the process that trains here

Training writes orders.parquet if judging is quick (on a GPU, or with the built-in model); otherwise the report does.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tiebreak.errors import RunError
from tiebreak.runs.files import translate_write_errors, write_text

if TYPE_CHECKING:
    from filelock import BaseFileLock

BASELINE_CARD: Final = "baseline.json"
"""In a run's `model` folder: the judge is a baseline."""

BLEND_CARD: Final = "blend.json"
"""In a run's `model` folder: the judge is a blend of others."""


def _acquire(lock: BaseFileLock) -> bool:
    """Acquire the lock without waiting; False if another process holds it.

    True without a lock on file systems that have none, such as some network mounts.
    """
    from filelock import Timeout

    try:
        lock.acquire(blocking=False)
    except Timeout:
        return False
    except OSError:
        return True
    return True


class RunFolder:
    """The folder of one run. Creating this object does not touch the disk."""

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
        """Whether a run was started here."""
        return self.recipe.exists() or self.holds_a_blend

    @property
    def is_finished(self) -> bool:
        """Whether a run was completed here: it writes its metrics last."""
        return self.metrics.exists()

    @property
    def holds_a_blend(self) -> bool:
        """Whether the judge is a blend of other runs' judges."""
        return (self.model / BLEND_CARD).is_file()

    @property
    def holds_a_baseline(self) -> bool:
        """Whether the judge is a baseline, which has no language model."""
        return (self.model / BASELINE_CARD).is_file()

    @property
    def names_a_model(self) -> bool:
        """Whether this is no run but a model in transformers' format: a folder of one, or a name on the hub."""
        if self.path.exists():
            return (self.path / "config.json").is_file() and not self.holds_a_run
        owner, *rest = self.path.parts or ("",)
        # `runs/typo` is not the name of a model where there is a folder `runs`.
        return len(rest) == 1 and not self.path.is_absolute() and owner != ".." and not Path(owner).exists()

    def check_has_language_model(self, what: str) -> None:
        """Check that the run has a language model of its own.

        Raises:
            RunError: the judge is a baseline or a blend; the message begins with `what`.
        """
        if self.holds_a_baseline:
            raise RunError(f"{what}: {self} holds a baseline, which has no language model.")
        if self.holds_a_blend:
            raise RunError(f"{what}: {self} is a blend, which has no model of its own. Name one of its members.")

    @contextmanager
    def lock(self, *, resume: bool) -> Iterator[None]:
        """Prevent other processes from training in this folder; if no run is started, the folder is left as it was.

        The operating system releases the lock when the process ends, even if it is killed.

        Raises:
            RunError: another process trains here, or as in `check_available`.
        """
        existed = self.path.exists()
        if existed and not self.lock_file.exists():  # write nothing into a folder that is not a run's
            self.check_available(resume=resume)
        with translate_write_errors(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            self.lock_file.touch()
        from filelock import FileLock

        lock = FileLock(self.lock_file, fallback_to_soft=False)  # a soft lock outlives a killed process
        if not _acquire(lock):
            raise RunError(
                f"Another process is training in {self}. Wait for it to end, or start another run: output=runs/NAME."
            )
        try:
            self.check_available(resume=resume)
            yield
        finally:
            if not self.holds_a_run:
                with suppress(OSError):
                    self.lock_file.unlink()
                if not existed:
                    with suppress(OSError):
                        self.path.rmdir()
            lock.release()

    @contextmanager
    def create(self) -> Iterator[None]:
        """Lock the folder for a new run that is written in one go; after an error the folder is removed.

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
        """Check early that a run can be started or resumed here.

        Raises:
            RunError: the folder holds a run and `resume` is false, or it holds other files.
        """
        if self.holds_a_run and not resume:
            raise RunError(
                f"{self} already holds a run. Continue it: --resume. Keep it and start another: output=runs/NAME. "
                f"Start over: delete {self} first."
            )
        if self.path.exists() and not self.path.is_dir():
            raise RunError(f"{self} is a file. A run needs a folder: output=runs/NAME.")
        if not self.holds_a_run and self.path.is_dir() and set(self.path.iterdir()) - {self.lock_file}:
            raise RunError(f"{self} is not empty and holds no run. Choose another folder: output=runs/NAME.")

    def check_trained(self) -> None:
        """Check, before anything is loaded, that a trained judge or a published model is here.

        Raises:
            RunError: this is not a run folder, or its training did not finish.
        """
        if self.names_a_model:  # whether it is a judge's can be told when its configuration is read
            return
        if not self.path.exists():
            raise RunError(f"There is no run folder {self}. `tiebreak train` and `tiebreak demo` create one.")
        if not self.path.is_dir():
            raise RunError(f"{self} is a file. Name the folder of a finished run (runs/NAME).")
        if (self.path / "export.json").is_file():
            raise RunError(f"{self} is an export, not a run. Name the run that was exported.")
        if (self.path / "tiebreak.json").is_file() or (self.path / BASELINE_CARD).is_file():
            raise RunError(f"{self} is the model folder of a run. Name the run's: {self.path.absolute().parent}.")
        if (self.model / "tiebreak.json").is_file() or self.holds_a_baseline or self.holds_a_blend:
            return
        remedy = (
            f"Its training did not finish. Continue it: tiebreak train {self.recipe} --resume."
            if any(self.checkpoints.glob("checkpoint-*"))
            else "Name the folder of a finished run (runs/NAME), as `tiebreak train` and `tiebreak demo` create it."
        )
        raise RunError(f"{self} holds no trained model. {remedy}")

    def begin(self, recipe: str) -> None:
        """Start a run: write its recipe, given as YAML.

        Raises:
            RunError: the disk is full, or the folder cannot be written to.
        """
        write_text(self.recipe, recipe)

    def abandon(self) -> None:
        """Remove the folder of a run that has neither a checkpoint nor a result."""
        if not any(self.checkpoints.glob("checkpoint-*")) and not self.is_finished:
            shutil.rmtree(self.path, ignore_errors=True)

    def write_history(self, lines: Sequence[Mapping[str, Any]]) -> None:
        """Write the history, one JSON object per line."""
        write_text(self.history, "".join(json.dumps(line) + "\n" for line in lines))

    def read_history(self) -> list[dict[str, Any]]:
        """The lines of the history; empty if nothing was logged yet."""
        if not self.history.exists():
            return []
        return [json.loads(line) for line in self.history.read_text(encoding="utf-8").splitlines()]

    def latest_checkpoint(self) -> Path | None:
        """The newest complete checkpoint; incomplete ones are removed.

        The Trainer writes a checkpoint's `trainer_state.json` last, so a readable one marks a complete checkpoint.
        """
        by_step: dict[int, Path] = {}
        for folder in self.checkpoints.glob("checkpoint-*"):
            try:
                step = json.loads((folder / "trainer_state.json").read_text(encoding="utf-8"))["global_step"]
                by_step[int(step)] = folder
            except (OSError, ValueError, KeyError, TypeError):
                shutil.rmtree(folder, ignore_errors=True)
        return by_step[max(by_step)] if by_step else None
