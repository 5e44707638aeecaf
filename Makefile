# `make demo` and `make test` set everything up by themselves; a second call finds it done.

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check
PYTEST_ARGS ?=
# Whole files side by side, so that what a file trains once is trained once; more than four at a time would need much memory.
# In the order of tests/conftest.py: xdist's own starts files of few tests last, and those are the long ones.
SIDE_BY_SIDE := -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder
DEMO := audio video audio_video

.PHONY: help setup demo test check coverage mutants same-numbers docs tutorials lock clean

help:
	@echo "make demo    set up, make a small corpus, train audio, video and both on it, say where the reports are"
	@echo "make test    set up, run all tests that need no accelerator (PYTEST_ARGS='-k name' narrows them)"
	@echo "make check   the gate: ruff, formatter, type checker, tests"
	@echo "make coverage  the tests once more, with the lines that none of them runs (no gate)"
	@echo "make mutants   plant the defects of benchmarks/mutants.toml one at a time; list those that no test notices (no gate, half an hour)"
	@echo "make same-numbers BEFORE=COMMIT  train every system at that commit and here; list the runs whose predictions differ"
	@echo "make docs    the documentation as a site in build/site"
	@echo "make tutorials  execute the notebooks of docs/tutorials, so that make docs shows them with their outputs (ten minutes)"
	@echo "make setup   the virtual environment alone"
	@echo "make lock    write requirements.lock anew from the ranges in requirements.txt"
	@echo "make clean   remove the environment and caches; runs/, prepared/ and corpora/ stay"

setup: $(INSTALLED)
	@:

# uv installs the lock faster than pip; where it can't be had or doesn't find a package, pip does. Both accept only files
# with a hash of the lock, uv itself included.
# A pyenv shim may lie on the path and fail, and Debian may lack ensurepip, so each candidate is run.
$(INSTALLED): requirements.lock
	@set -e; \
	if ! $(BIN)/python -c '' 2>/dev/null; then \
	  for python in python3.13 python3.12 python3.11 python3; do \
	    if $$python -c 'import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then \
	      found=$$python; break; \
	    fi; \
	  done; \
	  if [ -z "$$found" ]; then \
	    echo "expected Python 3.11, 3.12 or 3.13 with venv as python3.13, python3.12, python3.11 or python3 on the path; found none that runs." \
	      "Install one (Debian: apt install python3 python3-venv)." >&2; \
	    exit 1; \
	  fi; \
	  echo "making $(VENV) with $$($$found --version)"; \
	  $$found -m venv $(VENV); \
	fi; \
	echo "installing requirements.lock into $(VENV) (a minute or two on the first call)"; \
	awk '/^[^ ]/ {own = /^uv==/} own' requirements.lock > $(VENV)/uv.lock; \
	{ $(PIP_INSTALL) --require-hashes -r $(VENV)/uv.lock && \
	  $(BIN)/uv pip install --quiet --require-hashes --compile-bytecode --python $(BIN)/python -r requirements.lock; } || \
	  $(PIP_INSTALL) --require-hashes -r requirements.lock
	@touch $@

demo: setup
	@set -e; for streams in $(DEMO); do \
	  echo "--- configs/demo.py:$$streams"; \
	  $(BIN)/python run.py --config=configs/demo.py:$$streams; \
	done
	@echo "Reports, one self-contained page a run:"; ls -1 runs/synthetic-small_*-*/report.html

test: setup
	$(BIN)/python -m pytest -m "not gpu and not long" $(SIDE_BY_SIDE) $(PYTEST_ARGS)

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -m "not gpu and not long" $(SIDE_BY_SIDE) $(PYTEST_ARGS)

coverage: setup
	$(PIP_INSTALL) coverage[toml] pytest-cov
	$(BIN)/python -m pytest -m "not gpu and not long" $(SIDE_BY_SIDE) --cov --cov-report=term-missing:skip-covered $(PYTEST_ARGS)

MUTANTS_ARGS ?=
mutants: setup
	$(BIN)/python -m benchmarks.mutants $(MUTANTS_ARGS)

# The commit before is checked out beside this one, so that both run with the same environment on the same machine.
BEFORE ?= HEAD~1
same-numbers: setup
	@set -e; folder=$$(mktemp -d); trap 'git worktree remove --force "$$folder/tree"; rm -rf "$$folder"' EXIT; \
	git worktree add --quiet --detach "$$folder/tree" $(BEFORE); \
	(cd "$$folder/tree" && $(abspath $(BIN))/python -m benchmarks.same_numbers --record "$$folder/predictions"); \
	$(BIN)/python -m benchmarks.same_numbers --against "$$folder/predictions"

tutorials: setup
	$(PIP_INSTALL) -r docs/site/requirements.txt
	$(BIN)/python docs/site/tutorials.py

docs: setup
	$(PIP_INSTALL) -r docs/site/requirements.txt
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet --config-file docs/site/mkdocs.yml
	@echo "open build/site/index.html"

lock: setup
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-header --no-annotate --generate-hashes \
	  requirements.txt requirements-dev.txt --output-file requirements.lock
	@echo "wrote requirements.lock; the next make installs it"

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache .mypy_cache
	find avemo_jax configs data_prep tests benchmarks -name __pycache__ -type d -exec rm -rf {} +
