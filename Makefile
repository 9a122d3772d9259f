# The integration sandbox. `make help` explains every target.
PYTHON ?= python3
BIN := .venv/bin
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help compare test test-slow soak mutants bench bench-peers notebooks doctor lint strip lock clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'
	@echo '  Options go in ARGS, e.g.  make compare ARGS=--quick'

.venv/installed: requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo 'Python 3.11 or newer is needed; name it with  make PYTHON=python3.12 ...'; exit 1; }
	@echo 'Setting up .venv (once; about a minute) ...'
	@$(PYTHON) -m venv .venv || { echo 'On Debian and Ubuntu: apt install python3-venv'; exit 1; }
	@$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

compare: .venv/installed  ## the main job: every style, one workload -> table, charts, report
	@$(BIN)/python -m sandbox compare $(ARGS)

test: .venv/installed  ## the whole test suite
	@$(BIN)/python -m pytest -m 'not slow' $(ARGS)

test-slow: .venv/installed  ## the slower checks, under 30 minutes
	@$(BIN)/python -m pytest -m slow $(ARGS)

soak: .venv/installed  ## random faults from a printed seed, 1,000 kills at least (ARGS='--minutes 30')
	@$(BIN)/python -m sandbox soak $(ARGS)

mutants: .venv/installed  ## change the checker in 1,900 ways: which ones would the tests not notice? (minutes)
	@rm -rf mutants
	@$(BIN)/mutmut run $(ARGS) && $(BIN)/mutmut export-cicd-stats && $(BIN)/python tests/survivors.py

bench: .venv/installed  ## the figures we hold ourselves to, as ratios measured in one run
	@$(BIN)/python -m sandbox bench $(ARGS)

.venv-peers/installed: requirements.txt benchmarks/requirements.txt
	@$(PYTHON) -m venv .venv-peers
	@.venv-peers/bin/pip install --quiet --disable-pip-version-check -r requirements.txt -r benchmarks/requirements.txt
	@touch $@

bench-peers: .venv-peers/installed  ## our channels beside well-known libraries (benchmarks/README.md)
	@.venv-peers/bin/python -m benchmarks $(ARGS)

notebooks: .venv/installed  ## JupyterLab on the course
	@$(BIN)/python -m sandbox notebooks $(ARGS)

doctor: .venv/installed  ## what works on this machine, what does not, what to do
	@$(BIN)/python -m sandbox doctor $(ARGS)

lint: .venv/installed  ## ruff and mypy --strict
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

strip: .venv/installed  ## remove the outputs of the notebooks, as they are committed
	@$(BIN)/jupyter nbconvert --log-level WARN --clear-output --inplace notebooks/*.ipynb

lock: .venv/installed  ## write requirements.txt anew from pyproject.toml
	@$(BIN)/pip install --quiet uv
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-emit-index-url --no-header --extra dev pyproject.toml -o requirements.txt

clean:  ## remove the virtual environments and caches (not runs/)
	@rm -rf .venv .venv-peers mutants .mypy_cache .ruff_cache .pytest_cache
