# make run      install Gridscape into .venv, then train a first landscape and write its report
# make test     the tests, in an environment of their own, .venv-test
# make lint     style: ruff
# make types    types: mypy
# make bench    Gridscape against loops of PyTorch, in .venv-bench
# make clean    remove the environments and caches; results in runs/ stay
#
# PYTHON=path names the interpreter; ARGS="..." goes to gridscape run, pytest or the benchmark.

SUITABLE := import sys, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
	$$p -c '$(SUITABLE)' 2>/dev/null && command -v $$p && break; done)
TEST_ENV ?= .venv-test

.NOTPARALLEL:
.PHONY: help run test lint types bench clean

help:
	@sed -n '/^#/!q; s/^# \{0,1\}//p' Makefile

run: .venv/installed
	.venv/bin/gridscape run $(ARGS)

test: $(TEST_ENV)/installed
	TF_CPP_MIN_LOG_LEVEL=3 $(TEST_ENV)/bin/python -m pytest -n auto --dist worksteal $(ARGS)

lint: $(TEST_ENV)/installed
	$(TEST_ENV)/bin/ruff check .
	$(TEST_ENV)/bin/ruff format --check .

types: $(TEST_ENV)/installed
	$(TEST_ENV)/bin/mypy

bench: .venv-bench/installed
	.venv-bench/bin/python benchmarks/width_lr.py $(ARGS)

clean:
	rm -rf .venv .venv-* build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
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
	@echo "Installing into $(@D), the kernels compiled: two minutes, once"
	@'$(PYTHON)' -m venv $(@D)
	@$(@D)/bin/python -m pip --disable-pip-version-check --quiet \
		install -c constraints.txt -e '.[$(EXTRAS)]'
	@touch $@
