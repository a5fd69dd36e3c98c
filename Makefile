# `make run` and `make test` set everything up first; a second call installs nothing.
.DEFAULT_GOAL := help
.PHONY: help setup run showcase showcase-photographs test test-slow test-gpu check serve clean

# The first interpreter of a version that every pinned package supports.
PYTHON ?= $(shell for python in python3 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null \
	&& echo $$python && break; done)

# Further folders of pictures for `make showcase-photographs`, such as your own.
PICTURES ?=

# As many as a laptop has cores to spare; more do not end sooner on two.
TEST_PROCESSES ?= 2

help: ## this list
	@awk -F '##' '/^[a-z-]+:.*##/ { split($$1, name, ":"); printf "make %-20s %s\n", name[1], $$2 }' $(MAKEFILE_LIST)

setup: .venv/installed .venv-scrape/installed ## install the pinned packages (about 3 minutes, once)

run: setup ## the whole pipeline: scrape to scores
	@.venv/bin/pyramid run

# A clone of its own, so that the params, data and models of this one stay as they are.
showcase: setup ## train longer, on 2,000 landscapes at 256x128, in showcase/ (about two hours)
	@test -d showcase || git clone --quiet . showcase
	@cd showcase && ../.venv/bin/pyramid preset showcase --output params.yaml --force
	@cd showcase && PYRAMID_IMG2DATASET=$(CURDIR)/.venv-scrape/bin/img2dataset ../.venv/bin/pyramid run

showcase-photographs: setup ## the same on photographs of public packages and PICTURES="FOLDER ...", at 128x64 (forty minutes)
	@test -d $@ || git clone --quiet . $@
	@.venv/bin/python benchmarks/photograph_crops.py $@/sources/photographs $(PICTURES) --packages picture-packages
	@cd $@ && ../.venv/bin/pyramid preset $@ --output params.yaml --force
	@cd $@ && PYRAMID_IMG2DATASET=$(CURDIR)/.venv-scrape/bin/img2dataset ../.venv/bin/pyramid run

test: setup ## linters, then the test suite
	@$(MAKE) --no-print-directory check
	.venv/bin/pytest --numprocesses $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder

test-slow: setup ## the tests that take minutes
	.venv/bin/pytest -m slow

test-gpu: setup ## the tests that need a GPU; they are skipped without one
	.venv/bin/pytest -m gpu -rs tests/gpu tests/machine/test_device.py

check: setup ## linters, types and import rules
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports

serve: setup ## run the pipeline on a schedule, until stopped
	@.venv/bin/pyramid serve

clean: ## remove all outputs of the pipeline, but not the environments
	rm -rf data models samples reports plots metrics.json runs

# The stamp is written last, so a broken installation is done again.
.venv/installed: requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "error: no Python 3.11 or 3.12 found; install one, or name it: make PYTHON=/path/to/python3.11 setup"; exit 2; }
	@echo "Setting up: about 250 packages, 3 GB, some minutes ..."
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --requirement requirements.lock
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

.venv-scrape/installed: requirements-scrape.lock
	@test -n "$(PYTHON)" || { echo "error: no Python 3.11 or 3.12 found; install one, or name it: make PYTHON=/path/to/python3.11 setup"; exit 2; }
	$(PYTHON) -m venv .venv-scrape
	.venv-scrape/bin/python -m pip install --quiet --disable-pip-version-check --requirement requirements-scrape.lock
	@touch $@
