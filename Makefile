# Everything a developer does here, with Python 3.11+ and Node 20+ on PATH and nothing else.

SHELL := /bin/sh
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
RUN := .venv/bin/python
SEEDS ?= 2000
# Takes the time of what it runs: not measured, which would slow that down.
TIMED := tests/unit/powerfx/test_powerfx_limits.py
FUZZ_REQUESTS ?= 10000
FUZZ_EXAMPLES ?= 200
FUZZ_SEED ?= $(shell date +%s)
HOSTILE_SECONDS ?= 280
HOSTILE_SEED ?= $(shell date +%s)

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_NO_INPUT := 1
export PIP_ROOT_USER_ACTION := ignore
export npm_config_update_notifier := false

.DEFAULT_GOAL := help
.PHONY: help setup start start-app start-func test coverage check bench load scale simulate fuzz hostile clean

help: ## Show these commands
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/.stamp node_modules/.stamp ## Install what development needs, inside this folder

start: setup ## Start the router with all its parts (PORT, HTTPS_PORT, DATA_DIR, WORKERS, TIMER), until Ctrl-C
	@exec $(RUN) -m local

start-app: setup ## Start the app alone, against the parts of a `make start` that still runs (WORKERS, TIMER)
	@exec $(RUN) -m local --app-only

start-func: setup ## As start, with the app under Azure Functions Core Tools
	@exec $(RUN) -m local --func

check: setup ## Lint, check format, types and imports
	@$(RUN) -m ruff check .
	@$(RUN) -m ruff format --check --quiet .
	@$(RUN) -m mypy
	@.venv/bin/lint-imports

test: check coverage ## Check, then run every test, the unit tests measured
	@$(RUN) -m pytest $(TIMED) tests/contract tests/integration tests/sim tests/acceptance tests/fuzz -n 2 --dist loadgroup

coverage: setup ## Measure what unit tests and a hundred seeds run of router/, branches too
	@$(RUN) -m pytest tests/coverage tests/unit --ignore=$(TIMED) -n 2 --dist load --cov --cov-report=term

bench: setup ## Measure latencies beside the floor of the same run
	@$(RUN) -m bench

load: setup ## Sustain a mixed load for a minute and print the figures
	@$(RUN) -m bench.load

scale: setup ## Measure matching on many instances, in virtual time (SCALE=--quick for a short form)
	@$(RUN) -m bench.scale $(SCALE)

simulate: setup ## Run the deterministic simulation over SEEDS seeds
	@$(RUN) -m tests.sim --seeds $(SEEDS)

fuzz: setup ## Send a running app very many bad requests and odd ones (FUZZ_REQUESTS, FUZZ_EXAMPLES, FUZZ_SEED)
	@$(RUN) -m tests.fuzz --requests $(FUZZ_REQUESTS) --examples $(FUZZ_EXAMPLES) --seed $(FUZZ_SEED)

hostile: setup ## Attack a router of its own by kind, and print what broke and how long others waited (HOSTILE_SEED, HOSTILE_SECONDS)
	@$(RUN) -m tests.hostile --seed $(HOSTILE_SEED) --seconds $(HOSTILE_SECONDS)

clean: ## Remove what was installed, built and stored here
	rm -rf .venv node_modules .data dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage .coverage.*

.venv/.stamp: requirements.txt requirements-dev.txt
	@if [ -z "$(PYTHON)" ]; then echo "Python 3.11 or later is needed; none is on PATH (or set PYTHON=...)." >&2; exit 1; fi
	@[ -x $(RUN) ] || { echo "Creating .venv with $$($(PYTHON) --version)"; $(PYTHON) -m venv .venv; }
	@echo "Installing Python packages"
	@$(RUN) -m pip install --quiet -r requirements-dev.txt
	@touch $@

node_modules/.stamp: package.json package-lock.json
	@node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' 2>/dev/null || \
		{ echo "Node.js 20 or later is needed; none is on PATH." >&2; exit 1; }
	@echo "Installing npm packages"
	@npm ci --no-audit --no-fund --loglevel=error >/dev/null
	@touch $@
