# `make` prints what there is. Every target sets up what it needs; nothing has to be run before it.
# Only Python 3.11 to 3.13 (with venv) and make must be there; npm too for Azurite, the storage emulator.

.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
.PHONY: help demo live test lint type policies infra package wheel pictures kql format lock captures accuracy bench bench-peers functions-worker azurite bicep-parser chaos clean

# The first Python that is new enough, not too new, and able to make an environment. Yours: make PYTHON=...
FITS := import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))
PYTHON ?= $(shell for python in python3.13 python3.12 python3.11 python3; do \
	$$python -c '$(FITS)' 2>/dev/null && { echo $$python; break; }; done)

VENV := .venv
BIN := $(VENV)/bin
PY := $(BIN)/python
READY := $(VENV)/.ready
# The lock is complete, so pip need not resolve; modules are compiled when first used. Both halve the time.
INSTALL = $(PY) -m pip install --quiet --disable-pip-version-check --no-deps --no-compile

NPM := $(shell command -v npm 2>/dev/null)
AZURITE_VERSION := 3.37.0
AZURITE_DIR := build/azurite
AZURITE := $(AZURITE_DIR)/node_modules/.bin/azurite-blob
AZURITE_READY := $(AZURITE_DIR)/.ready-$(AZURITE_VERSION)

INFRA_TOOLS := build/infra-tools
INFRA_READY := $(INFRA_TOOLS)/.ready-1
BICEP_PARSER := build/bicep-parser
BICEP_READY := $(BICEP_PARSER)/.ready

BENCH_PEERS := build/bench-peers
BENCH_READY := $(BENCH_PEERS)/.ready

help: ## this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

##@ Use

demo: $(READY) ## replay samples/ into a bill in the terminal and in out/report.html
	@rm -rf out/ledger
	@mkdir -p out
	@$(BIN)/chargeback replay samples/events --rates samples/rates.yaml --ledger out/ledger \
		--rejects out/rejects.jsonl --format json > out/charges.jsonl || test $$? -eq 1 # one event is bad on purpose
	@$(BIN)/chargeback report --ledger out/ledger --by subscription,app,deployment --html out/report.html
	@echo
	@echo "Written: out/report.html (open it), out/charges.jsonl (a charge a line), out/rejects.jsonl, out/ledger (the journal)"

live: $(READY) azurite ## the whole loop on this machine, charges as they come; until Ctrl-C: make live ARGS=--forever
	@test -x $(AZURITE) && export CHARGEBACK_AZURITE=$(abspath $(AZURITE)); \
	exec $(PY) scripts/live.py $(ARGS)

##@ Check

test: $(READY) functions-worker azurite bicep-parser ## all tests; some of them: make test ARGS="-k journal"
	@status=0; \
	export CHARGEBACK_REQUIRE_WORKER=1; \
	test -x $(AZURITE) && export CHARGEBACK_AZURITE=$(abspath $(AZURITE)); \
	$(BIN)/pytest $(ARGS) || status=$$?; \
	test -x $(AZURITE) || echo "Skipped: what needs Azurite, because $(if $(NPM),npm could not install it,there is no npm)."; \
	exit $$status

lint: $(READY) ## style, formatting, and which module may import which
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/lint-imports

type: $(READY) ## types, strictly
	@PYRIGHT_PYTHON_IGNORE_WARNINGS=1 $(BIN)/pyright

policies: $(READY) ## compile the gateway policies, run calls through them, say what was checked (needs mono)
	@CI=1 $(PY) scripts/policies.py $(ARGS)

infra: $(READY) bicep-parser $(INFRA_READY) ## check Bicep, settings, roles and workbook, say what was checked
	@CI=1 $(PY) scripts/infra.py $(ARGS)

chaos: $(READY) azurite ## ten minutes under fire, with figures: make chaos SEED=7; must fail: make chaos BREAK=dedupe
	@test -x $(AZURITE) && export CHARGEBACK_AZURITE=$(abspath $(AZURITE)); \
	SEED=$(SEED) BREAK=$(BREAK) $(PY) scripts/chaos.py

package: $(READY) ## what is published to Azure: dist/functions.zip, proved to run with its own packages (a minute)
	@$(PY) scripts/package.py

wheel: $(READY) ## build wheel and sdist into dist/, try the wheel in an environment of its own
	@$(PY) scripts/wheel.py

kql: $(READY) ## check every query of infra/queries with Kusto's language service and run it (minutes; needs npm)
	@$(PY) scripts/kql.py
	@CHARGEBACK_KQL=1 $(BIN)/pytest tests/kql $(ARGS)

##@ Change

format: $(READY) ## mend style and formatting where a program can
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

lock: $(READY) ## renew requirements*.txt from pyproject.toml; newest versions: make lock UPGRADE=1
	@$(PY) scripts/lock.py $(if $(UPGRADE),--upgrade)

pictures: $(READY) ## draw the pictures of README.md from what `make demo` wrote (needs Chromium)
	@$(PY) scripts/pictures.py

captures: $(READY) ## write the golden files of tests/captures that do not exist yet
	@$(PY) scripts/captures.py $(ARGS)

##@ Measure

accuracy: $(READY) ## estimated against reported tokens: make accuracy EXCHANGES=folder, PEERS=1 beside other libraries
	@test -n "$(EXCHANGES)" || { echo "make accuracy needs EXCHANGES=<folder of captured exchanges>"; exit 2; }
	@$(PY) bench/accuracy.py $(EXCHANGES) $(if $(PEERS),--peers)

bench: $(READY) bench-peers ## how fast, beside floors and alternatives (minutes): make bench ARGS="--group core"
	@$(PY) bench/speed.py $(ARGS)

##@ Set up

# pip takes the index it is configured with; the lock holds versions and hashes.
$(READY): requirements-dev.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11, 3.12 or 3.13 with venv is needed (Debian, Ubuntu: apt install python3-venv)." \
		"Or name one: make PYTHON=/path/to/python3"; exit 2; }
	@$(PYTHON) -c '$(FITS)' || { echo "$(PYTHON) cannot be used: Python 3.11, 3.12 or 3.13 with venv is needed."; exit 2; }
	@$(PY) -m pip --version >/dev/null 2>&1 || { echo "Making $(VENV) with $(PYTHON)"; $(PYTHON) -m venv --clear $(VENV); }
	@echo "Installing the locked packages (about a minute; again only when the lock changes)"
	@$(INSTALL) --require-hashes --requirement requirements-dev.txt
	@$(INSTALL) --no-build-isolation --editable .
	@touch $@

functions-worker: $(READY) ## Microsoft's Functions worker library, for the tests, in build/
	@$(PY) scripts/install_functions_worker.py

azurite: $(if $(NPM),$(AZURITE_READY)) ## Azurite, for the tests, in build/ (needs npm)

$(AZURITE_READY):
	@echo "Installing Azurite $(AZURITE_VERSION) (once, about 370 MB)"
	@rm -rf $(AZURITE_DIR) && mkdir -p $(AZURITE_DIR)
	@if npm install --prefix $(AZURITE_DIR) --no-audit --no-fund --loglevel=error azurite@$(AZURITE_VERSION) >/dev/null; \
	then touch $@; else echo "npm could not install Azurite"; rm -rf $(AZURITE_DIR); test -z "$$CI"; fi

bicep-parser: $(READY) $(BICEP_READY) ## what reads Bicep for the tests, in build/

$(BICEP_READY): scripts/bicep_requirements.txt
	@echo "Installing a Bicep parser (once, 3 MB)"
	@rm -rf $(BICEP_PARSER)
	@if $(PY) -m pip install --quiet --disable-pip-version-check --no-deps --target $(BICEP_PARSER) -r $<; \
	then touch $@; else echo "The Bicep parser cannot be installed here: the tests of infra/*.bicep are skipped"; \
	rm -rf $(BICEP_PARSER); test -z "$$CI"; fi

# Tools of one target, far larger than the project: never among its dependencies.
$(INFRA_READY): scripts/infra_requirements.txt
	@echo "Installing checkov (once, about 300 MB)"
	@rm -rf $(INFRA_TOOLS)
	@$(PYTHON) -m venv $(INFRA_TOOLS)
	@$(INFRA_TOOLS)/bin/python -m pip install --quiet --disable-pip-version-check -r scripts/infra_requirements.txt
	@touch $@

# The alternatives, for `make bench` only: never among the project's dependencies. Without them it says so.
bench-peers: $(READY) $(BENCH_READY) ## what `make bench` compares with, in build/

$(BENCH_READY): bench/peers/requirements.txt
	@echo "Installing litellm and openai beside the project (once, about 340 MB)"
	@rm -rf $(BENCH_PEERS)
	@$(PYTHON) -m venv $(BENCH_PEERS)
	@if $(BENCH_PEERS)/bin/python -m pip install --quiet --disable-pip-version-check -r bench/peers/requirements.txt; \
	then touch $@; else echo "They could not be installed: figures beside them will say 'not measured'"; fi

clean: ## remove everything these targets made
	@rm -rf $(VENV) build dist out .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
