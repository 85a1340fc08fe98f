PYTHON ?= python3.11
VENV := .venv
PIP := $(VENV)/bin/python -m pip --disable-pip-version-check --quiet
STAMPS := .stamps

.PHONY: venv
venv: $(STAMPS)/dev

$(STAMPS)/venv: requirements/build.lock
	@mkdir -p $(STAMPS)
	$(PYTHON) -m venv --clear $(VENV)
	$(PIP) install --no-deps --require-hashes -r requirements/build.lock
	@touch $@

$(STAMPS)/prod: $(STAMPS)/venv requirements.lock pyproject.toml
	$(PIP) install --no-deps --require-hashes --no-build-isolation -r requirements.lock
	$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(STAMPS)/dev: $(STAMPS)/prod requirements-dev.lock
	$(PIP) install --no-deps --require-hashes --no-build-isolation -r requirements-dev.lock
	@touch $@
