# Two commands do everything: `make demo` and `make test`. Each makes its environment in .venv first.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test bench check format clean

demo: .venv/.installed
	$(BIN)/tiebreak demo

test: .venv/.installed
	$(BIN)/python -m pytest -n 2

# Packed against padded rows with the nano model: what anyone can measure. The GPU's tables: perf/RESULTS.md.
bench: .venv/.installed
	$(BIN)/python perf/cpu.py

# What every commit has to pass: style, types, and the direction of imports.
check: .venv/.installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: .venv/.installed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# torch goes first, by its pinned version: where pip finds a CPU build of it, that is taken, else PyPI's CUDA build.
.venv/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Tiebreak needs Python 3.11 or newer, $(PYTHON) is older. Name another: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet $$(grep '^torch==' constraints.txt)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
