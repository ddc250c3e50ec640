# Everything a developer does here, with Python 3.11 to 3.13 and Node 20+ on PATH and nothing else.

SHELL := /bin/sh
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && { echo $$p; break; }; done)
RUN := .venv/bin/python
SEEDS ?= 2000
# Those that start routers, and the simulation.
WHOLE := tests/contract tests/integration tests/sim tests/acceptance tests/fuzz
FUZZ_REQUESTS ?= 10000
FUZZ_EXAMPLES ?= 200
FUZZ_SEED ?= $(shell date +%s)
HOSTILE_SECONDS ?= 280
HOSTILE_SEED ?= $(shell date +%s)
HOSTILE_LATE ?= 100
CHAOS_SECONDS ?= 20
CHAOS_SEED ?= $(shell date +%s)

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_NO_INPUT := 1
export PIP_ROOT_USER_ACTION := ignore
export npm_config_update_notifier := false

.DEFAULT_GOAL := help
.PHONY: help hello prerequisites packages setup runtime start debug start-app start-func test long coverage check bench waits load scale simulate fuzz hostile chaos worker pythons clean

help: ## Show these commands
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: prerequisites .venv/.stamp node_modules/.stamp .venv/bin/jobrouter ## Install what development needs, inside this folder

# Both at a time: one waits for the network while the other unpacks.
runtime: hello prerequisites ## Install what a local run needs, and no more
	@$(MAKE) --silent --no-print-directory --jobs=2 .venv/.run node_modules/.run .venv/bin/jobrouter

start: runtime ## Start the router with all its parts (PORT, HTTPS_PORT, DATA_DIR, WORKERS, TIMER), until Ctrl-C
	@exec $(RUN) -m local

debug: runtime ## As start, with the app in this terminal: breakpoint() works, a change starts it again
	@exec $(RUN) -m local --debug

start-app: runtime ## Start the app alone, against the parts of a `make start` that still runs (WORKERS, TIMER)
	@exec $(RUN) -m local --app-only

start-func: runtime ## As start, with the app under Azure Functions Core Tools
	@exec $(RUN) -m local --func

check: setup ## Lint, check format, types, imports and the deployment
	@$(RUN) -m ruff check .
	@$(RUN) -m ruff format --check --quiet .
	@$(RUN) -m mypy
	@.venv/bin/lint-imports
	@$(RUN) -m scripts.check_deployment

test: check ## Check, then run the tests that end within ten minutes on two cores
	@$(RUN) -m pytest tests/unit -m "first and not timed" -n 2 --dist worksteal
	@$(RUN) -m scripts.other_pythons worker
	@$(RUN) -m pytest tests/unit $(WHOLE) -m "timed and not long"
	@$(RUN) -m pytest tests/unit $(WHOLE) -m "not first and not long and not timed" -n 2 --dist loadgroup

long: setup ## Run the tests that take longer: browsers, the Java SDK, crashes, floods, many seeds
	@failed=0; \
	$(RUN) -m pytest $(WHOLE) -m "long and timed" || failed=1; \
	$(RUN) -m pytest $(WHOLE) -m "long and not timed" -n 2 --dist loadgroup || failed=1; \
	exit $$failed

again: setup ## Run alone, one after the other, the tests that failed last
	@$(RUN) -m pytest tests --last-failed --last-failed-no-failures none

worker: setup ## Run wire and event tests under Microsoft's Python worker, where a Python 3.13 is found
	@$(RUN) -m scripts.other_pythons worker

pythons: setup ## Run the unit tests under each other Python that is found
	@$(RUN) -m scripts.other_pythons unit

coverage: setup ## Measure what unit tests and fifty seeds run of router/, branches too
	@$(RUN) -m pytest tests/coverage tests/unit -m "not timed" -n 2 --dist worksteal --cov --cov-report=term

bench: setup ## Measure latencies beside the floor of the same run
	@$(RUN) -m bench

waits: setup ## Measure estimated waits in simulated queues, beside other ways to estimate (WAITS=--quick)
	@$(RUN) -m bench.waits $(WAITS)

load: setup ## Sustain a mixed load for a minute and print the figures
	@$(RUN) -m bench.load

scale: setup ## Measure matching on many instances, in virtual time (SCALE=--quick for a short form)
	@$(RUN) -m bench.scale $(SCALE)

simulate: setup ## Run the deterministic simulation over SEEDS seeds
	@$(RUN) -m tests.sim --seeds $(SEEDS)

fuzz: setup ## Send a running app very many bad requests and odd ones (FUZZ_REQUESTS, FUZZ_EXAMPLES, FUZZ_SEED)
	@$(RUN) -m tests.fuzz --requests $(FUZZ_REQUESTS) --examples $(FUZZ_EXAMPLES) --seed $(FUZZ_SEED)

hostile: setup ## Attack a router of its own by kind, and print what broke and how long others waited (HOSTILE_SEED, HOSTILE_SECONDS, HOSTILE_LATE)
	@$(RUN) -m tests.hostile --seed $(HOSTILE_SEED) --seconds $(HOSTILE_SECONDS) --late $(HOSTILE_LATE)

chaos: setup ## Stop, kill and hang each part of a router in turn under a steady load, and recount (CHAOS_SEED, CHAOS_SECONDS)
	@$(RUN) -m tests.chaos --seed $(CHAOS_SEED) --seconds $(CHAOS_SECONDS)

clean: ## Remove what was installed, built and stored here
	rm -rf .venv .pythons node_modules .data dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage .coverage.*
	rm -rf .import_linter_cache tests/java/target testkit/build testkit/*.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

hello:
	@[ -f .venv/.run ] || echo "Job router: looking for Python and Node.js, then installing into this folder."

prerequisites:
	@if [ -z "$(PYTHON)" ]; then \
		found=$$(python3 --version 2>/dev/null || echo none); \
		echo "Python 3.11, 3.12 or 3.13 is needed; on PATH is $$found. https://www.python.org/downloads has it; PYTHON=... names one elsewhere." >&2; exit 1; fi
	@node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' 2>/dev/null || { \
		found=$$(node --version 2>/dev/null || echo none); \
		echo "Node.js 20 or later is needed, for the storage emulator; on PATH is $$found. https://nodejs.org has it." >&2; exit 1; }
	@command -v npm >/dev/null || { echo "npm is needed, to install the storage emulator; on PATH is none. It comes with Node.js." >&2; exit 1; }

# What a run needs is a part of what development needs: where that is installed, nothing is to be done.
.venv/.run: requirements.txt requirements-local.txt | prerequisites
	@if [ ! -f .venv/.stamp ] || [ requirements-dev.txt -nt .venv/.stamp ] || [ requirements.txt -nt .venv/.stamp ]; then \
		$(MAKE) --no-print-directory packages REQUIREMENTS=requirements-local.txt SIZE="Python packages, about 80 MB"; fi
	@touch $@

.venv/.stamp: requirements.txt requirements-local.txt requirements-dev.txt | prerequisites
	@$(MAKE) --no-print-directory packages REQUIREMENTS=requirements-dev.txt SIZE="Python packages, about 330 MB"
	@touch $@ .venv/.run

# Not compiled: Python does that with what is imported, which is the smaller part. But for the SDK, at which Python 3.12
# and later would complain before the reader's own first line.
packages:
	@echo "Installing $(SIZE), into .venv ($$($(PYTHON) --version)). The first time this takes up to a minute."
	@[ -x $(RUN) ] || $(PYTHON) -m venv .venv || { rm -rf .venv; exit 1; }
	@$(RUN) -m pip install --quiet --no-compile -r $(REQUIREMENTS)
	@$(RUN) -W ignore -m compileall -q .venv/lib/python3*/site-packages/azure/communication/jobrouter
	@echo "Python packages are installed."

# The command: it runs what is in this folder, wherever it is called.
.venv/bin/jobrouter: jobrouter/launcher.py | .venv/.run
	@$(RUN) -m jobrouter.launcher

node_modules/.run: package.json package-lock.json | prerequisites
	@if [ ! -f node_modules/.stamp ] || [ package-lock.json -nt node_modules/.stamp ]; then \
		echo "Installing the storage emulator, about 130 MB, into node_modules. The first time this takes up to half a minute."; \
		npm ci --omit=dev --no-audit --no-fund --loglevel=error >/dev/null && echo "The storage emulator is installed."; fi
	@touch $@

node_modules/.stamp: package.json package-lock.json | prerequisites
	@echo "Installing npm packages, about 150 MB, into node_modules."
	@npm ci --no-audit --no-fund --loglevel=error >/dev/null
	@touch $@ node_modules/.run
