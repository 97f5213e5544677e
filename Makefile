# `make` or `make help` lists what there is.
.DEFAULT_GOAL := help
SHELL := /bin/bash

STATE ?= $(CURDIR)/.pangeo
PORT ?= 0
ADDRESS ?= 127.0.0.1
ARGS ?=

# uv makes the environments. Where it is missing, pip puts it into .tools; the version is the one
# that pyproject.toml asks for.
UV := $(or $(shell command -v uv),.tools/bin/uv)
UV_VERSION := $(shell sed -n 's/^required-version = "\(.*\)"/\1/p' pyproject.toml)
# The newest Python that is there; none is downloaded.
PYTHONS := 3.14 3.13 3.12 3.11
export UV_PYTHON_DOWNLOADS := never
# Without compiled modules every process of the platform would start seconds later.
export UV_COMPILE_BYTECODE := 1

# When an environment was last brought up to date; the note goes with the environment.
SERVICES := .venv/installed-services
TESTS := .venv/installed-tests
NOTEBOOK := images/notebook/.venv/installed
PANGEO := .venv/bin/pangeo
STATE_OPTION = --state "$(STATE)"

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'
	@echo "  variables: STATE=directory of all state (now $(STATE)), PORT=port of the hub (0: any free one)"

.PHONY: demo
demo: environments ## Run the main job as an ordinary user and print how long each step took
	@$(PANGEO) demo $(STATE_OPTION) --port $(PORT)

.PHONY: up
up: environments ## Bring the platform up and print how to log in; Ctrl-C ends it
	@$(PANGEO) up $(STATE_OPTION) --port $(PORT) --address $(ADDRESS)

.PHONY: down
down: ## Take the platform down; homes and buckets stay
	@$(PANGEO) down $(STATE_OPTION)

.PHONY: test
test: environments $(TESTS) ## Run all tests (ARGS="-k words" for some)
	@.venv/bin/pytest $(ARGS)

.PHONY: lint
lint: environments $(TESTS) ## Check format, style and types
	@.venv/bin/ruff format --check
	@.venv/bin/ruff check
	@.venv/bin/mypy
	@$(UV) lock --check --quiet
	@$(UV) lock --check --quiet --project images/notebook

.PHONY: format
format: environments $(TESTS) ## Put all Python files into the project's format
	@.venv/bin/ruff format
	@.venv/bin/ruff check --fix

.PHONY: bench
bench: environments ## Run the main job five times; print medians as the table in README
	@.venv/bin/python -m infra.local.bench $(STATE_OPTION)

.PHONY: screenshot
screenshot: environments $(TESTS) ## Make the picture that README shows
	@PANGEO_SCREENSHOT="$(CURDIR)/tests/browser/first-steps.png" .venv/bin/pytest -n0 tests/browser

.PHONY: environments
environments: $(SERVICES) $(NOTEBOOK) ## Install what the platform consists of

.PHONY: clean
clean: ## Delete the environments; state is kept
	rm -rf .venv .tools images/notebook/.venv

$(SERVICES): pyproject.toml uv.lock | uv
	@echo "Installing the services of the platform"
	@$(find_python); $(UV) sync --quiet --locked --inexact --extra local --python "$$python"
	@touch $@

$(NOTEBOOK): images/notebook/pyproject.toml images/notebook/uv.lock | uv
	@echo "Installing the user's environment (about 1 GB)"
	@$(find_python); $(UV) sync --quiet --locked --project images/notebook --python "$$python"
	@touch $@

$(TESTS): $(SERVICES)
	@echo "Installing the tools of the tests"
	@$(find_python); $(UV) sync --quiet --locked --inexact --extra local --group lint --group test --python "$$python"
	@touch $@

find_python = for version in $(PYTHONS); do \
	python=$$($(UV) python find $$version 2>/dev/null) && break; done; \
	test -n "$$python" || { echo "error: Python 3.11 or newer: none found; install one" >&2; exit 1; }

.PHONY: uv
uv:
	@command -v $(UV) >/dev/null || { echo "Installing uv"; \
		python3 -m pip install --quiet --target .tools 'uv$(UV_VERSION)'; }
