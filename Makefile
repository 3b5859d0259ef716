# make run      install Gridscape into .venv, then train a first landscape and write its report
# make test     the tests, in an environment of their own, .venv-test
# make lint     style: ruff, clang-format, and by npm eslint, prettier and tsc
# make format   lays all of it out, and writes the declarations of the page's document
# make types    types: mypy
# make wheels   wheels with the kernels inside, for four systems, into dist/
# make bench    Gridscape against loops of PyTorch, in .venv-bench
# make clean    remove the environments and caches; results in runs/ stay
#
# PYTHON=path names the interpreter; ARGS="..." goes to gridscape run, pytest or the benchmark.

SUITABLE := import sys, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
	$$p -c '$(SUITABLE)' 2>/dev/null && command -v $$p && break; done)
TEST_ENV ?= .venv-test
CPP := $(wildcard gridscape/kernels/src/* tests/native/*)

.NOTPARALLEL:
.PHONY: help run test lint lint-page format types wheels bench clean

help:
	@sed -n '/^#/!q; s/^# \{0,1\}//p' Makefile

run: .venv/installed
	.venv/bin/gridscape run $(ARGS)

test: $(TEST_ENV)/installed
	TF_CPP_MIN_LOG_LEVEL=3 $(TEST_ENV)/bin/python -m pytest -n auto --dist worksteal $(ARGS)

lint: $(TEST_ENV)/installed
	$(TEST_ENV)/bin/ruff check .
	$(TEST_ENV)/bin/ruff format --check .
	$(TEST_ENV)/bin/clang-format --dry-run --Werror $(CPP)
	@if command -v node >/dev/null && command -v npm >/dev/null; then \
		$(MAKE) --no-print-directory lint-page; else \
		echo "The page's scripts were not checked: that needs Node.js 20 or newer, with npm" >&2; fi

lint-page: node_modules/installed
	npm run --silent lint

format: $(TEST_ENV)/installed node_modules/installed
	$(TEST_ENV)/bin/ruff check --fix .
	$(TEST_ENV)/bin/ruff format .
	$(TEST_ENV)/bin/clang-format -i $(CPP)
	$(TEST_ENV)/bin/python tests/declarations.py
	npm run --silent format

# Versions and checksums are in package-lock.json.
node_modules/installed: package.json package-lock.json
	npm ci --loglevel=error --no-audit --no-fund
	@touch $@

types: $(TEST_ENV)/installed
	$(TEST_ENV)/bin/mypy

wheels: $(TEST_ENV)/installed
	$(TEST_ENV)/bin/python -m pip --disable-pip-version-check --quiet install ziglang
	$(TEST_ENV)/bin/python tools/wheels.py $(ARGS)

bench: .venv-bench/installed
	.venv-bench/bin/python benchmarks/width_lr.py $(ARGS)

clean:
	rm -rf .venv .venv-* node_modules build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	rm -f gridscape/kernels/_native*.so
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# An environment is made once, and installed into again when what it should hold has changed.
.venv/installed: EXTRAS = report,parquet
$(TEST_ENV)/installed: EXTRAS = dev
.venv-bench/installed: EXTRAS = bench

KERNELS := setup.py $(wildcard gridscape/kernels/src/*)
.venv/installed $(TEST_ENV)/installed .venv-bench/installed: pyproject.toml constraints.txt $(KERNELS)
	@'$(PYTHON)' -c '$(SUITABLE)' 2>/dev/null || { echo "No Python 3.11 to 3.13 with venv found:" \
		"install one, or name it with PYTHON=/path/to/python3.12" >&2; exit 1; }
	@echo "Installing into $(@D): two minutes, once, with the kernels compiled for all environments"
	@'$(PYTHON)' -m venv $(@D)
	@$(@D)/bin/python -m pip --disable-pip-version-check --quiet \
		install -c constraints.txt -e '.[$(EXTRAS)]'
	@touch $@
