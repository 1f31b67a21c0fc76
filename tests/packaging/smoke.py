"""Builds the sdist and the wheel, installs the wheel without extras into a fresh environment, and uses it.

    python tests/packaging/smoke.py

Run by `.ci/run`, not by pytest: it downloads the packages of the core install.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).parents[2]
VOTES = ROOT / "tests/fixtures/runs_0_1/votes.csv"
FORBIDDEN = ("torch", "transformers", "fastapi")


def run(*command: object, folder: Path, status: int = 0) -> str:
    """Standard output and error of a command that must end with the status."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    print("$", *command, flush=True)
    ended = subprocess.run(
        [str(word) for word in command], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    output = ended.stdout + ended.stderr
    if ended.returncode != status:
        raise SystemExit(f"{output}\nStatus {ended.returncode} instead of {status}: {' '.join(map(str, command))}")
    return output


def build(folder: Path) -> Path:
    """The wheel, built from the sdist."""
    run(sys.executable, "-m", "build", "--outdir", folder, ROOT, folder=folder)
    with tarfile.open(next(folder.glob("*.tar.gz"))) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    for name in ("pyproject.toml", "README.md", "LICENSE", "src/tiebreak/py.typed", "recipes/demo.yaml"):
        assert name in names, f"{name} is not in the sdist"
    return next(folder.glob("*.whl"))


def install(wheel: Path, folder: Path) -> Path:
    """The folder of commands of a fresh environment that holds the wheel and nothing of the extras."""
    venv.create(folder / "env", with_pip=True)
    commands = folder / "env" / "bin"
    constraints = ROOT / "constraints.txt"
    run(commands / "python", "-m", "pip", "install", "--quiet", "--constraint", constraints, wheel, folder=folder)
    installed = run(commands / "python", "-m", "pip", "list", folder=folder).lower().split()
    for package in FORBIDDEN:
        assert package not in installed, f"the core install brings {package}"
    return commands


def use(commands: Path, folder: Path) -> None:
    """What the core install does, and what it says of the rest."""
    tiebreak = commands / "tiebreak"
    run(commands / "python", "-c", "import tiebreak; print(tiebreak.__all__)", folder=folder)
    assert "demo" in run(tiebreak, "--help", folder=folder)
    assert "all can be used" in run(tiebreak, "check", VOTES, folder=folder)
    run(tiebreak, "train", "baseline-length", f"data.train={VOTES}", "output=run", folder=folder)
    question = ("--prompt", "1 + 1 = ?", "--a", "2", "--b", "The answer is 3.")
    assert "tie" in run(tiebreak, "judge", "run", *question, folder=folder)
    run(tiebreak, "evaluate", "run", VOTES, folder=folder)
    assert "pip install 'tiebreak[train]'" in run(tiebreak, "demo", folder=folder, status=1)
    assert "pip install 'tiebreak[serve]'" in run(tiebreak, "serve", "run", folder=folder, status=1)


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="tiebreak-smoke-") as name:
        folder = Path(name)
        use(install(build(folder), folder), folder)
    print("The wheel works without torch.")


if __name__ == "__main__":
    main()
