# Every target makes the environment that it needs: .venv, kept until a lock file changes. Nothing is taken from outside
# but a Python (3.11 or newer) and its packages; uv is used where it is there, because it is quicker.

SHELL := /bin/sh
.SHELLFLAGS := -eu -c
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
FIND_PYTHON := for name in python3 python3.11 python3.12 python3.13 python3.14; do \
	if "$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then echo "$$name"; exit; fi; done
PYTHON ?= $(shell $(FIND_PYTHON))
UV ?= $(shell uv --version >/dev/null 2>&1 && echo uv)

# Trust the certificates that the machine trusts, as pip does where it is configured so; the older name is for older uv.
export UV_SYSTEM_CERTS := true
export UV_NATIVE_TLS := true

# Further arguments: make run ARGS="--port 9001", make test ARGS="-k listing"
ARGS ?=

# What `make test-backends` runs on: tests/storages.py has them.
BACKENDS ?= local memory sqlite aws aws-moto gcp azure

.PHONY: help
help: ## Say what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

.PHONY: run
run: $(VENV)/.run ## Start the server on 127.0.0.1:9000 with its data in ./data
	@exec $(BIN)/python -m app serve $(ARGS)

.PHONY: test
test: $(VENV)/.dev ## Run the test suite
	@exec $(BIN)/python -m pytest $(ARGS)

.PHONY: test-long-way
test-long-way: $(VENV)/.dev ## Run what the S3 interface promises once more, with server.short_way off
	@BLEEPSTORE_SERVER_SHORT_WAY=false exec $(BIN)/python -m pytest tests/s3 $(ARGS)

.PHONY: test-backends
test-backends: $(VENV)/.dev ## Run what the S3 interface promises on each storage back end: BACKENDS="aws gcp"
	@for name in $(BACKENDS); do echo "== $$name"; \
		BLEEPSTORE_TEST_STORAGE=$$name $(BIN)/python -m pytest -q --durations 0 --durations-min 30 \
			tests/s3 tests/clients/test_boto3.py tests/clients/test_boto3_transfers.py $(ARGS); done

.PHONY: test-image
test-image: $(VENV)/.dev ## Build the container image and run it, with the engine that DOCKER_HOST leads to
	@exec $(BIN)/python -m pytest -m image --timeout 1500 tests/image $(ARGS)

.PHONY: test-nightly
test-nightly: $(VENV)/.dev ## Run the test suite with its long tests, and property tests with more examples
	@BLEEPSTORE_TEST_PROFILE=nightly exec $(BIN)/python -m pytest -m "not image" --timeout 14400 $(ARGS)

.PHONY: check
check: $(VENV)/.dev ## Lint, check the format and the types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

.PHONY: format
format: $(VENV)/.dev ## Format the code
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

.PHONY: bench
bench: $(VENV)/.dev ## Measure the server with a few sizes and operations
	@exec $(BIN)/python -m loadtests.bench $(ARGS)

.PHONY: compare
compare: $(VENV)/.dev ## Measure the server and its peers in turn: MINIO_BIN, GARAGE_BIN, or any URL
	@exec $(BIN)/python -m loadtests.compare $(ARGS)

.PHONY: growth
growth: $(VENV)/.dev ## Measure how cost grows with keys, buckets, users and clients
	@exec $(BIN)/python -m loadtests.growth $(ARGS)

.PHONY: locust
locust: $(VENV)/.dev ## Load a running server: Locust's web UI on 127.0.0.1:8089
	@exec $(BIN)/locust -f loadtests/locustfile.py --host http://127.0.0.1:9000 --web-host 127.0.0.1 --class-picker $(ARGS)

.PHONY: chart
chart: $(VENV)/.dev ## Write what the Helm chart has from elsewhere: its README's table, its schema, the load tests
	@exec $(BIN)/python -m helm.generate $(ARGS)

.PHONY: test-deps
test-deps: ## Install the programs that the client tests need (Debian; as root)
	@PYTHON="$(PYTHON)" sh tests/install-components.sh

.PHONY: lock
lock: ## Choose the packages' versions anew
	@uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --upgrade \
		--custom-compile-command "make lock" --output-file requirements.lock pyproject.toml
	@uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --upgrade \
		--custom-compile-command "make lock" --constraint requirements.lock --extra dev \
		--output-file requirements-dev.lock pyproject.toml
	@uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--custom-compile-command "make lock" --constraint requirements-dev.lock --extra all \
		--output-file requirements-image.lock pyproject.toml

.PHONY: clean
clean: ## Remove the environment and what tools left; ./data stays
	@rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist tests/clients/node_modules
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# -- The environment ---------------------------------------------------------------------------------------------------

$(VENV)/bin/python:
	@if [ -z "$(PYTHON)" ]; then echo "Python 3.11 or newer is needed: make $(MAKECMDGOALS) PYTHON=/path/to/python3" >&2; exit 1; fi
	@if [ -n "$(UV)" ]; then $(UV) venv --quiet --allow-existing --python "$(PYTHON)" $(VENV); else "$(PYTHON)" -m venv $(VENV); fi

$(VENV)/.run: requirements.lock | $(VENV)/bin/python
	@echo "Installing what the server needs …"
	$(call install,requirements.lock)
	@touch $@

# The development set holds the server's, at the same versions.
$(VENV)/.dev: requirements-dev.lock | $(VENV)/bin/python
	@echo "Installing what the tests need …"
	$(call install,requirements-dev.lock)
	@touch $(VENV)/.run $@

define install
@if [ -n "$(UV)" ]; then \
	$(UV) pip install --quiet --python $(BIN)/python --require-hashes -r $(1); \
else \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(1); \
fi
endef
