# dynprep: `make demo` shows what it does, `make test` that it does it.
PYTHON ?= python3
VENV ?= .venv
RUN := $(VENV)/bin/python
READY := $(VENV)/.ready
EXTRAS := $(VENV)/.ready-extras
SITE := $(VENV)-site

.DEFAULT_GOAL := help
.PHONY: help demo test fast thorough faults lint docs site clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1\t/' | expand -t 8

$(READY): requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(RUN) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

# launchers, search and reference tools that tests use; complete, so nothing is resolved
$(EXTRAS): $(READY) requirements-tests.lock
	$(RUN) -m pip install --quiet --disable-pip-version-check --no-deps -r requirements-tests.lock
	@touch $@

demo: $(READY) ## set up, then run the main job on the demo clip: dataset, report, W&B offline
	$(RUN) run.py

test: $(EXTRAS) ## set up, then run all tests
	$(RUN) -m pytest -n 2 --dist worksteal

fast: $(EXTRAS) ## run the tests that are not slow
	$(RUN) -m pytest -m "not slow and not thorough"

thorough: $(EXTRAS) ## what `make test` leaves out: the largest networks, launchers, runs in several processes, longer clips, pages of docs/ pasted line by line
	$(RUN) -m pytest -m thorough

faults: $(EXTRAS) ## a campaign of some thousand faults, twenty minutes; prints a table
	$(RUN) -m tests.faults

lint: $(READY) ## style and types
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy

docs: $(READY) ## write the pages of docs/ that come from conf/ anew
	$(RUN) -m dynprep.config.pages

# in an environment of its own: nothing of it is needed to run or to test
$(SITE)/.ready: requirements-site.lock
	$(PYTHON) -m venv $(SITE)
	$(SITE)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements-site.lock
	@touch $@

site: $(SITE)/.ready ## build the documentation's site into outputs/site; a broken link fails
	NO_MKDOCS_2_WARNING=1 $(SITE)/bin/python -m mkdocs build --strict --quiet

clean: ## remove the virtual environment (results in outputs/ stay)
	rm -rf $(VENV) $(SITE)
