# One visit on a fresh Debian 12:  make demo        Everything checked:  make test
# Both do all their set-up themselves; the second time they find it done.

PYTHON ?= $(shell command -v python3.11 || echo python3.11)
PORT ?= 8080
PYTEST_ARGS ?=
# tests at a time, each process with its own servers; WORKERS=0 for one process, for a debugger
WORKERS ?= 2
VENV := .venv
BIN := $(VENV)/bin
STAMPS := .stamps
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
INSTALL := $(PIP) install --no-deps --no-build-isolation --use-pep517 --no-warn-script-location
POT := web/locale/messages.pot
# what services raise is shown to people, too: the first argument is the sentence
ERROR_WORDS := $(foreach error,Invalid Conflict Forbidden NotFound Unavailable,--keyword $(error))
CATALOGUES := $(wildcard web/locale/*/LC_MESSAGES/*.po)
export PYTHON

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test lint format venv lock upgrade messages example-config bench soak fuzz clean

help: ## what can be made
	@sed -n 's/^\([a-z%-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

demo: $(STAMPS)/system-run $(STAMPS)/prod $(STAMPS)/messages ## a demo prison on http://127.0.0.1:8080 (PORT=, TLS=1)
	@exec $(BIN)/visitserver demo --port $(PORT) $(if $(filter 1 yes true,$(TLS)),--tls)

test: $(STAMPS)/dev $(STAMPS)/npm $(STAMPS)/messages ## every test (PYTEST_ARGS="-k booking tests/unit")
	$(BIN)/pytest --numprocesses $(WORKERS) --dist worksteal $(PYTEST_ARGS)

lint: $(STAMPS)/dev $(STAMPS)/npm ## ruff, mypy --strict, the import rules, tsc
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	node_modules/.bin/tsc --noEmit --project tsconfig.json

format: $(STAMPS)/dev ## put the Python files in order
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

venv: $(STAMPS)/dev $(STAMPS)/npm ## the environment for development

lock: $(STAMPS)/dev ## the lock files again after a change of pyproject.toml (docs/decisions/0002)
	scripts/lock

upgrade: $(STAMPS)/dev ## the lock files with the newest versions that the ranges allow
	UPGRADE=1 scripts/lock

messages: $(STAMPS)/prod ## collect the translatable strings, bring every catalogue up to date
	$(BIN)/pybabel --quiet extract --mapping web/babel.cfg --keyword Words --keyword Problem:3 $(ERROR_WORDS) --output $(POT) --project visitserver --no-location --sort-output .
	@for catalogue in $(CATALOGUES); do \
		locale=$$(basename $$(dirname $$(dirname $$catalogue))); \
		$(BIN)/pybabel --quiet update --width 110 --input-file $(POT) --output-dir web/locale --locale $$locale --no-fuzzy-matching || exit 1; \
	done

example-config: $(STAMPS)/prod ## configs/visitserver.example.toml again after a change of visitserver/config.py
	$(BIN)/python scripts/example-config > configs/visitserver.example.toml

bench: $(STAMPS)/dev ## the benchmarks that there are (make bench-NAME runs tests/bench/bench_NAME.py)
	@ls tests/bench/bench_*.py | sed -n 's,tests/bench/bench_\([a-z_]*\)\.py,  make bench-\1,p'

bench-relay: $(STAMPS)/system-bench

bench-%: $(STAMPS)/dev tests/bench/bench_%.py ## one of them, e.g. make bench-relay BENCH_ARGS=--short
	$(BIN)/python -m tests.bench.bench_$* $(BENCH_ARGS)

MIN ?= 10
soak: $(STAMPS)/dev ## joins, leaves, holds and restarts at random for MIN=10 minutes; fails if anything stays
	$(BIN)/python -m tests.bench.soak --minutes $(MIN) $(SOAK_ARGS)

fuzz: $(STAMPS)/dev ## look for inputs that break something (SECONDS=60 for each, TARGET=stun for one)
	@for target in $(or $(TARGET),$$(ls tests/fuzz/corpus)); do \
		$(BIN)/python -m tests.fuzz.run $$target --seconds $(or $(SECONDS),60) || exit 1; \
	done

clean: ## take away the environment and everything that was made, except var/
	rm -rf $(VENV) $(STAMPS) node_modules build *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

# Set-up, each step once. A stamp is older than what it was made from: the step is done again.

$(STAMPS):
	@mkdir -p $@

$(STAMPS)/system-run: scripts/system-packages | $(STAMPS)
	@scripts/system-packages run
	@touch $@

$(STAMPS)/system-test: scripts/system-packages | $(STAMPS)
	@scripts/system-packages test
	@touch $@

# without Janus the bench measures the rest, and says so
$(STAMPS)/system-bench: scripts/system-packages | $(STAMPS)
	@if scripts/system-packages bench; then touch $@; else echo "Going on without"; fi

# setuptools first, with its hash: face_recognition_models and this project are built with it and nothing else
$(STAMPS)/python: requirements/build.lock | $(STAMPS) $(STAMPS)/system-run
	@echo "Making $(VENV)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(INSTALL) --require-hashes --requirement requirements/build.lock
	@touch $@

$(STAMPS)/locked: requirements.lock $(STAMPS)/python
	@echo "Installing requirements.lock"
	@$(INSTALL) --require-hashes --requirement requirements.lock
	@touch $@

$(STAMPS)/prod: pyproject.toml signaling/media/_native.c signaling/media/_packet.h recorder/_tape.c $(STAMPS)/locked
	@$(INSTALL) --editable .
	@touch $@

$(STAMPS)/dev: requirements-dev.lock requirements/portraits.lock $(STAMPS)/prod | $(STAMPS)/system-test
	@echo "Installing requirements-dev.lock"
	@$(INSTALL) --require-hashes --requirement requirements-dev.lock
	@$(INSTALL) --require-hashes --requirement requirements/portraits.lock
	@touch $@

$(STAMPS)/npm: package-lock.json package.json | $(STAMPS)/system-test
	@npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

$(STAMPS)/messages: $(CATALOGUES) $(STAMPS)/locked
	@for catalogue in $(CATALOGUES); do $(BIN)/pybabel --quiet compile --input-file $$catalogue --output-file $${catalogue%.po}.mo || exit 1; done
	@touch $@
