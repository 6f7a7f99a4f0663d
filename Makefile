# dynprep: `make demo` shows what it does, `make test` that it does it.
PYTHON ?= python3
VENV ?= .venv
RUN := $(VENV)/bin/python
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help demo test fast lint clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1\t/' | expand -t 8

$(READY): requirements.lock
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --disable-pip-version-check -r requirements.lock
	@touch $@

demo: $(READY) ## set up, then run the main job on the demo clip: dataset, report, W&B offline
	$(RUN) run.py

test: $(READY) ## set up, then run all tests
	$(RUN) -m pytest -n 2 --dist worksteal

fast: $(READY) ## run the tests that are not slow
	$(RUN) -m pytest -m "not slow"

lint: $(READY) ## style and types
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy

clean: ## remove the virtual environment (results in outputs/ stay)
	rm -rf $(VENV)
