# `make` lists what there is. Every target sets up what it needs.
SHELL := /bin/sh
VENV := .venv
UV := $(shell command -v uv 2>/dev/null || echo $(VENV)-uv/bin/uv)
MEMBERS := shared/schema shared/seal shared/city shared/agreement shared/agency shared/runtime services/intake services/routing services/notify services/desk deploy/cli deploy/dev
# Packages that show texts to people, in two languages.
TRANSLATED := shared/runtime/simpul_runtime services/intake/simpul_intake services/desk/simpul_desk
export UV_PYTHON_DOWNLOADS = never
export UV_PROJECT_ENVIRONMENT = $(VENV)
# Downloads trust whom this machine trusts, such as an office proxy with an authority of its own. The second name is
# that of uv before 0.11.
UV_SYSTEM_CERTS ?= true
UV_NATIVE_TLS ?= true
export UV_SYSTEM_CERTS UV_NATIVE_TLS
# pip before 24.2 does not look there by itself, so it is shown the file unless it is configured to use another one.
SYSTEM_CERTIFICATES := $(firstword $(wildcard $(SSL_CERT_FILE) /etc/ssl/certs/ca-certificates.crt \
	/etc/pki/tls/certs/ca-bundle.crt /etc/ssl/cert.pem))
PIP_KNOWS_CERTIFICATES := [ -n "$$REQUESTS_CA_BUNDLE$$CURL_CA_BUNDLE" ] || $(VENV)-uv/bin/pip config list | grep -q cert=
trust_system = $(if $(SYSTEM_CERTIFICATES),$(PIP_KNOWS_CERTIFICATES) || export PIP_CERT=$(SYSTEM_CERTIFICATES);)
# $(call download,command): runs a command that downloads; when it fails, says what to check.
download = $(1) || { echo; echo "$$DOWNLOAD_FAILED"; exit 1; }
define DOWNLOAD_FAILED
A download failed. Check, then run the same command again:
  1. Is the internet reachable? Behind a proxy set HTTPS_PROXY and HTTP_PROXY.
  2. "certificate", "UnknownIssuer" or "SSL" above: the proxy signs with an authority of its own. Add that authority
     to this machine (/usr/local/share/ca-certificates/NAME.crt, then update-ca-certificates), or set SSL_CERT_FILE to
     a file that has it.
  3. With an index of your own: do UV_DEFAULT_INDEX and PIP_INDEX_URL name it?
endef
export DOWNLOAD_FAILED

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-fast lint types bench bench-scale schema translations lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.ready ## make .venv with the command .venv/bin/simpul

# Only where no uv is on the PATH.
$(VENV)-uv/bin/uv:
	@echo "setting up uv ..."
	@python3 -m venv $(VENV)-uv
	@$(trust_system) $(call download,$(VENV)-uv/bin/pip install uv >$(VENV)-uv/log 2>&1 || { cat $(VENV)-uv/log; false; })

$(VENV)/.ready: requirements.lock pyproject.toml $(addsuffix /pyproject.toml,$(MEMBERS)) | $(filter $(VENV)-uv/%,$(UV))
	@echo "setting up $(VENV) ..."
	@$(UV) venv --quiet --allow-existing $(VENV)
	@$(call download,$(UV) pip sync --quiet --python $(VENV)/bin/python --require-hashes requirements.lock)
	@$(call download,$(UV) pip install --quiet --python $(VENV)/bin/python --no-deps $(foreach m,$(MEMBERS),-e $(m)))
	@touch $@

demo: setup ## the whole city on this machine, with 26 invented reports; ONCE=1 ends by itself
	@exec $(VENV)/bin/simpul-dev demo --with-parent $(if $(ONCE),--once)

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

schema: setup ## write the JSON schemas and the table of events; refuses a breaking change
	@$(VENV)/bin/simpul contract write

translations: setup ## bring the catalogues up to date with the texts in the code; then translate what is new
	@for package in $(TRANSLATED); do \
	  locale=$$package/locale/id/LC_MESSAGES && mkdir -p $$locale .simpul && touch $$locale/messages.po \
	  && $(VENV)/bin/pybabel -q extract --mapping-file pyproject.toml --keyword gettext_noop --omit-header --no-location \
	     --width 120 --output-file .simpul/messages.pot $$package \
	  && $(VENV)/bin/pybabel -q update --locale id --no-fuzzy-matching --ignore-obsolete --ignore-pot-creation-date \
	     --omit-header --width 120 --input-file .simpul/messages.pot --output-file $$locale/messages.po || exit 1; \
	done

lock: | $(filter $(VENV)-uv/%,$(UV)) ## renew requirements.lock
	@$(call download,$(UV) lock --quiet --upgrade) && $(UV) export --quiet --no-emit-workspace --format requirements-txt --no-header --no-annotate -o requirements.lock

clean: ## remove what make made
	@rm -rf $(VENV) $(VENV)-uv .simpul .mypy_cache .ruff_cache .hypothesis dist
