PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

export OMP_NUM_THREADS ?= 1

.PHONY: run test lint types clean

run: $(STAMP)  ## install, then the main job on the packaged default
	$(BIN)/croco-eval run

test: $(STAMP)  ## install, then the test suite
	$(BIN)/python -m pytest -n 2 --dist loadfile

lint: $(STAMP)  ## format, lint, import rule
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports

types: $(STAMP)  ## static types
	$(BIN)/pyright

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	touch $(STAMP)

clean:
	rm -rf $(VENV) build dist *.egg-info
