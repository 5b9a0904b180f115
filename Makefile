# Two commands do everything on a machine with Python 3.11+ and make: `make demo`, `make test`.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
# Of tests: one more than cores, for some wait for a server while others work.
PROCESSES := $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1)

.DEFAULT_GOAL := help
.PHONY: help demo test test-long test-faults check format bench clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-11s %s\n", $$1, $$2}'

demo: $(VENV)/.installed-all ## made-up ratings in, predicted ratings for every user in SQL out
	$(BIN)/python -m flows.demo --home demo

test: $(VENV)/.installed-test ## all tests, against real parts, in under ten minutes on two cores
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses $(PROCESSES) --dist loadfile --no-loadscope-reorder $(ARGS)

test-long: $(VENV)/.installed-test ## what takes minutes a test: PostgreSQL, teams on one server, more of clusters, benchmarks
	DEEPREC_TESTS=long $(BIN)/python -m pytest -m long $(ARGS)

test-faults: $(VENV)/.installed-test ## the long form: 208 kills, thousands of broken files; an hour or two
	DEEPREC_FAULTS=long $(BIN)/python -m pytest tests/faults --capture=no --hypothesis-show-statistics $(ARGS)

check: $(VENV)/.installed-lint ## types, style, import contracts, SQL, what is installed fits together
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/sqlfluff lint --processes 0 sql
	$(BIN)/python -m pip check

format: $(VENV)/.installed-lint ## put Python and SQL into our form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/sqlfluff fix sql

bench: $(VENV)/.installed-bench ## our accuracy beside that of other libraries, on made-up ratings
	$(BIN)/python -m benchmarks --home bench

clean: ## remove the environment, the demo and the benchmarks' ratings
	rm -rf $(VENV) demo bench

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "deeprec needs Python 3.11 or later; try: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed-all: $(VENV)/bin/python pyproject.toml constraints.txt
	@echo "installing deeprec and what it needs into $(VENV) (some minutes, once)"
	$(INSTALL) -e '.[all]'
	@touch $@

$(VENV)/.installed-test: $(VENV)/.installed-all
	$(INSTALL) -e '.[test]'
	@touch $@

$(VENV)/.installed-bench: $(VENV)/.installed-all
	$(INSTALL) -e '.[bench]'
	@touch $@

$(VENV)/.installed-lint: $(VENV)/.installed-test
	$(INSTALL) -e '.[test,lint]'
	@touch $@
