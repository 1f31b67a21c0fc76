# `make demo` and `make test` are enough to start. Every target first makes the environment in .venv.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test coverage doctest bench check format docs wheel clean

demo: .venv/.installed
	$(BIN)/tiebreak demo

test: .venv/.installed
	$(BIN)/python -m pytest -n 2

# The tests with coverage. The floor is what holds today; raise it when coverage rises.
coverage: .venv/.installed doctest
	$(BIN)/python -m pytest -n 2 --cov --cov-report=term --cov-fail-under=$(FLOOR) --durations=25
FLOOR := 92

# Examples in docstrings. The kernels and the pretraining script need packages or hardware of their own.
doctest: .venv/.installed
	$(BIN)/python -m pytest -q -p no:cacheprovider --doctest-modules src/tiebreak \
		--ignore=src/tiebreak/models/kernels --ignore=src/tiebreak/models/nano --ignore=src/tiebreak/__main__.py

# Packed against padded rows with the nano model, on any CPU. The GPU's tables are in perf/RESULTS.md.
bench: .venv/.installed
	$(BIN)/python perf/cpu.py

# Format, lint, types and the direction of imports: every commit passes them.
check: .venv/.installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: .venv/.installed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# The documentation as a folder: open docs/_build/index.html. A warning, such as a broken link, fails the build.
docs: .venv/.installed
	$(BIN)/python -m sphinx -W --keep-going -q -E -b html docs docs/_build
	@echo "Open docs/_build/index.html"

# Builds sdist and wheel, and uses the wheel in a fresh environment without torch.
wheel: .venv/.installed
	$(BIN)/python tests/packaging/smoke.py

# torch is installed first, by its pinned version: pip takes a CPU build if it finds one, and PyPI's CUDA build otherwise.
.venv/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Tiebreak needs Python 3.11 or newer, $(PYTHON) is older. Name another: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet $$(grep '^torch==' constraints.txt)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis .coverage docs/_build docs/generated
