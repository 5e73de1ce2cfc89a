# `make` prints this help. Every target sets up what it needs.

PYTHON ?= python3
SEEDS  ?= 50
FIRST  ?= 1
MINUTES ?= 120
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help setup demo run e2e test test-fast lint fmt types layers check chaos soak bench lock clean

help:  ## Print this help
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY)  ## Make .venv with the pinned dependencies

$(READY): requirements-dev.lock pyproject.toml tools/setup.py
	@$(PYTHON) tools/setup.py $(VENV)
	@touch $@

demo: $(READY)  ## Run everything on a local simulated exchange; dashboard on port 8000 (Ctrl-C ends it)
	@$(BIN)/cryptotools up --demo

run: $(READY)  ## Run the main job with your settings
	@$(BIN)/cryptotools run

test: $(READY)  ## Run all tests
	@$(BIN)/python -m pytest -n 3 --dist loadfile

test-fast: $(READY)  ## Run the tests that take no real processes
	@$(BIN)/python -m pytest -n 3 --dist loadfile -m "not slow"

e2e: $(READY)  ## Try the dashboard in Chromium, with load (installs it by apt where it is missing)
	@command -v chromium >/dev/null || (apt-get update -qq && apt-get install -y -qq chromium >/dev/null)
	@$(BIN)/python -m pytest tests/browser -m "e2e or slow" -s -q

lint: $(READY)  ## Check style
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

fmt: $(READY)  ## Format and fix what can be fixed
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

types: $(READY)  ## Check types (mypy --strict)
	@$(BIN)/mypy

layers: $(READY)  ## Check that imports point down
	@$(BIN)/lint-imports

check: lint types layers test  ## All of the above: what CI runs

chaos: $(READY)  ## Random faults and kills on real processes (SEEDS=50, FIRST=1)
	@$(BIN)/python -m tests.chaos --seeds $(SEEDS) --first $(FIRST)

soak: $(READY)  ## Hours at speed, with memory and files drawn (MINUTES=120)
	@$(BIN)/python -m tests.chaos.soak --minutes $(MINUTES) --out soak.svg

bench: $(READY)  ## Measure, and print the table of budgets
	@$(BIN)/cryptotools bench --out bench/results/local.json

lock:  ## Renew the lock files (needs uv)
	uv pip compile -q -U --universal --python-version 3.11 pyproject.toml --extra embedded --extra build \
	  --generate-hashes --only-binary litecharts --emit-build-options --no-annotate --no-header -o requirements.lock
	uv pip compile -q -U --universal --python-version 3.11 pyproject.toml --all-extras \
	  --generate-hashes --only-binary litecharts --emit-build-options --no-annotate --no-header -o requirements-dev.lock

clean:  ## Remove .venv and caches
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
