# vision-r1: `make run` shows the whole method, `make test` tests it. `make help` lists the rest.
# Windows, or no make: pip install . && vision-r1 run vision-r1

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
SEED   ?= 0
# Extra arguments, as in: make run ARGS="stages.rl.schedule.0.steps=80"
ARGS   ?=
STAMP  := $(VENV)/.installed

.PHONY: run test test-slow check bench help clean
.DEFAULT_GOAL := help

help: ## List what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

run: $(STAMP) ## Take the tiny base model through the whole Vision-R1 method (14 to 21 minutes on 2 cores, 24 and more on one)
	@$(BIN)/vision-r1 run vision-r1 --seed $(SEED) $(ARGS)

test: $(STAMP) ## Run the tests (no network, some minutes on 2 cores)
	@$(BIN)/python -m pytest -m "not slow" $(ARGS)

test-slow: $(STAMP) ## Run every test, the slow ones too
	@$(BIN)/python -m pytest $(ARGS)

check: $(STAMP) ## Lint, format and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

bench: $(STAMP) ## Measure speed against TRL, with goals (half an hour on 2 cores; see docs/benchmarks.md)
	@$(BIN)/python benchmarks/speed.py $(ARGS)

$(STAMP): pyproject.toml constraints.txt
	@echo "Installing vision-r1 into $(VENV): PyTorch (CPU build where pip finds one), transformers, TRL and"
	@echo "the development tools; about 2 GB on disk, once (some GB more where pip takes the CUDA build of torch:"
	@echo "docs/guide.md says how to choose). The versions are those of constraints.txt."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt torch
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt -e ".[dev]"
	@touch $(STAMP)
	@echo "Installed."

clean: ## Remove the environment and build files (runs are kept)
	rm -rf $(VENV) build dist src/*.egg-info .pytest_cache .mypy_cache .ruff_cache
