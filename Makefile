# `make` lists what there is. Every target sets up what it needs.
SHELL := /bin/sh
VENV := .venv
UV := $(shell command -v uv 2>/dev/null || echo $(VENV)-uv/bin/uv)
MEMBERS := shared/schema shared/seal shared/agency shared/runtime services/intake services/routing services/notify services/desk deploy/cli
export UV_PYTHON_DOWNLOADS = never
export UV_PROJECT_ENVIRONMENT = $(VENV)

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-fast lint types bench bench-scale schema lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.ready ## make .venv with the command .venv/bin/simpul

$(VENV)/.ready: requirements.lock pyproject.toml $(addsuffix /pyproject.toml,$(MEMBERS))
	@command -v $(UV) >/dev/null || { echo "setting up uv ..."; python3 -m venv $(VENV)-uv && $(VENV)-uv/bin/pip install --quiet uv; }
	@echo "setting up $(VENV) ..."
	@$(UV) venv --quiet --allow-existing $(VENV)
	@$(UV) pip sync --quiet --python $(VENV)/bin/python --require-hashes requirements.lock
	@$(UV) pip install --quiet --python $(VENV)/bin/python --no-deps $(foreach m,$(MEMBERS),-e $(m))
	@touch $@

demo: setup ## the whole city on this machine, with 26 invented reports; ONCE=1 ends by itself
	@exec $(VENV)/bin/simpul demo --with-parent $(if $(ONCE),--once)

test: setup ## everything, against a real RabbitMQ and a real PostgreSQL
	@$(VENV)/bin/pytest -n 2 --dist loadfile

test-fast: setup ## what needs no server, in seconds
	@$(VENV)/bin/pytest tests/unit tests/contract tests/architecture -n 2

lint: setup ## ruff and the import rules
	@$(VENV)/bin/ruff check . && $(VENV)/bin/ruff format --check . && $(VENV)/bin/lint-imports

types: setup ## mypy, strict
	@$(VENV)/bin/mypy

bench: setup ## decisions beside three rule engines, and the whole path beside a hand-written floor
	@$(VENV)/bin/python -m tests.bench.decisions
	@$(VENV)/bin/python -m tests.bench

bench-scale: setup ## a page, a timeline and a sweep with 10,000 and with 1,000,000 cases; some minutes, 15 GB of disk
	@$(VENV)/bin/python -m tests.bench.scale

schema: setup ## write the JSON schemas and the event table; refuses a breaking change
	@$(VENV)/bin/simpul contract write

lock: ## renew requirements.lock
	@$(UV) lock --quiet --upgrade && $(UV) export --quiet --no-emit-workspace --format requirements-txt --no-header --no-annotate -o requirements.lock

clean: ## remove what make made
	@rm -rf $(VENV) $(VENV)-uv .simpul .mypy_cache .ruff_cache .hypothesis dist
