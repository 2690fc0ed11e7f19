# Two commands do everything on a fresh machine: `make demo` and `make test`.
# The active virtual environment is used when there is one, else .venv is made.
PYTHON ?= python3
VENV := $(or $(VIRTUAL_ENV),.venv)
BIN := $(VENV)/bin

.PHONY: demo test test-compiled compiled wheel fuzz soak bench bench-quick simulate lint docs format protos lock clean help

help: ## Show this
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-22s %s\n", $$1, $$2}'

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.shadow-demo: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[demo]'
	@touch $@

$(VENV)/.shadow-dev: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@

demo: $(VENV)/.shadow-demo ## Two real models, the sidecar between, and what a person wants to know
	$(BIN)/shadow-sidecar demo $(ARGS)

test: $(VENV)/.shadow-dev ## Every test, real servers and clients included
	$(BIN)/python -m tests.interop.packages
	$(BIN)/python -m tests.interop.environments
	$(BIN)/python -m pytest $(ARGS)

# One source, two builds; which modules are compiled, and why: setup.py.
COMPILED := build/compiled
AS_COMPILED = PYTHONSAFEPATH=1 PYTHONPATH=$(CURDIR)/$(COMPILED):$(CURDIR)
SOURCES := $(shell find sidecar -name '*.py') setup.py pyproject.toml

$(COMPILED)/.done: $(SOURCES) | $(VENV)/.shadow-dev
	rm -rf $(COMPILED) build/wheel build/lib.* build/bdist.*
	SHADOW_SIDECAR_COMPILED=1 $(BIN)/python -m pip wheel --quiet --no-build-isolation --no-deps \
	  --wheel-dir build/wheel .
	$(BIN)/python -m zipfile -e build/wheel/*.whl $(COMPILED)
	@touch $@

compiled: $(COMPILED)/.done ## The hot path compiled, in build/compiled: put it on PYTHONPATH
	$(AS_COMPILED) $(BIN)/python -m sidecar --version

test-compiled: $(COMPILED)/.done ## Unit, law and scenario tests of the compiled build
	$(AS_COMPILED) TESTED_BUILD=compiled $(BIN)/python -m pytest --import-mode=append \
	  -o cache_dir=build/pytest -m 'not interpreted' $(or $(ARGS),$(TESTS_COMPILED))

# Of the judge those that count: what decides is Python in both builds.
TESTS_COMPILED := tests/test_build.py tests/compare tests/experiment tests/http2 tests/observe \
  $(addprefix tests/judge/test_,builds.py criteria.py judge.py labelled.py pieces.py worst.py) \
  tests/tee tests/telemetry tests/wire tests/fuzz tests/scenarios

wheel: $(COMPILED)/.done ## Both wheels in dist/: compiled for this Python, and plain for any
	rm -rf build/lib dist
	$(BIN)/python -m pip wheel --quiet --no-build-isolation --no-deps --wheel-dir dist .
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python -m auditwheel repair --wheel-dir dist build/wheel/*.whl
	@ls dist

$(VENV)/.shadow-bench: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[bench]'
	@touch $@

bench: $(VENV)/.shadow-bench $(COMPILED)/.done ## What it costs production, against Envoy; writes benchmarks/results.md
	$(BIN)/python -m benchmarks $(ARGS)
	@$(BIN)/python -m benchmarks.readme

bench-quick: $(VENV)/.shadow-bench $(COMPILED)/.done ## The same in two minutes, into benchmarks/quick.md
	$(BIN)/python -m benchmarks --quick $(ARGS)

$(VENV)/.shadow-fuzz: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[fuzz]'
	@touch $@

FUZZ_SECONDS ?= 600
FUZZED := walker tap connection hpack messages payloads descriptors configuration review

fuzz: $(VENV)/.shadow-fuzz ## Fuzz every target, led by coverage, for FUZZ_SECONDS each (600)
	for each in $(FUZZED); do echo "$$each:"; \
	  $(BIN)/python -m tests.fuzz.fuzz $$each -max_total_time=$(FUZZ_SECONDS) -verbosity=0 -print_final_stats=1 || exit 1; \
	done

soak: $(VENV)/.shadow-dev ## Load, churn and faults for SOAK_SECONDS (3600): the books agree, nothing grows
	$(BIN)/python -m tests.scenarios.soak

simulate: $(VENV)/.shadow-dev ## How often the verdict errs, by simulation; writes benchmarks/simulation.md
	nice -n 19 $(BIN)/python -m benchmarks.simulate $(ARGS)

lint: $(VENV)/.shadow-dev ## ruff and mypy, strict
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(VENV)/.shadow-dev ## The site of docs/, into build/site; warnings are errors
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict --config-file .ci/mkdocs.yml

format: $(VENV)/.shadow-dev ## Let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

protos: $(VENV)/.shadow-dev ## Generate sidecar/pb from protos/
	$(BIN)/python protos/generate.py

lock: ## Renew requirements.lock: the image's packages, by hash
	$(PYTHON) -m venv .venvs/lock
	.venvs/lock/bin/pip install --quiet uv
	echo 'setuptools>=77' | .venvs/lock/bin/uv pip compile pyproject.toml - --extra compiled --universal --upgrade \
	  --generate-hashes --python-version 3.11 --no-header --no-annotate -q -o requirements.lock

clean: ## Remove everything that was made
	rm -rf .venv .venvs build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
