# All that a newcomer types is `make demo` and `make test`; each sets up .venv first, and again when sources changed.
#
# The package is installed into .venv as a user would get it (not editable): what the tests import is what a wheel
# holds. The stamp .venv/.installed depends on every source file, so tests never run on stale code, and a second
# `make test` starts at once.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check

# A developer's PYTHONPATH=src or another active environment must not leak into what is tested.
unexport PYTHONPATH
unexport VIRTUAL_ENV

SOURCES := $(shell find src -name __pycache__ -prune -o \( -type d -o -type f ! -name '*.so' \) -print) \
           meson.build pyproject.toml README.md LICENSE

.DEFAULT_GOAL := help
.PHONY: flips fuzz help setup system-packages all-packages core demo test test-all lint format bench docs wheel clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 24

setup: $(VENV)/.installed ## create .venv with latebind and everything the tests use

$(VENV)/bin/python:
	@tools/make-venv $(PYTHON) $(VENV)

# The tools: what builds, tests and checks the package, and what it depends on; all read from pyproject.toml.
$(VENV)/.tools: pyproject.toml tools/requirements.py | $(VENV)/bin/python
	@echo "setup: installing build and test tools into $(VENV)"
	@$(BIN)/python tools/requirements.py build runtime test dev > $(VENV)/requirements.txt
	@$(PIP) install --quiet --requirement $(VENV)/requirements.txt
	@touch $@

# meson-python keeps its build folder, so only changed C files are compiled again.
$(VENV)/.installed: $(VENV)/.tools $(SOURCES)
	@echo "setup: building and installing latebind"
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(PIP) install --quiet --no-build-isolation --no-deps --force-reinstall \
	    --config-settings=build-dir=build/venv .
	@touch $@

system-packages: ## install the Debian packages that only tests need
	@tools/system-packages

all-packages: ## and those that only `make test-all` needs: a hundred libraries
	@tools/system-packages all

# The C core beside the Python sources, for quick work with PYTHONPATH=src; warnings are errors.
core: ## compile the C core into src/latebind
	@[ -f build/dev/build.ninja ] || PATH="$(CURDIR)/$(BIN):$$PATH" meson setup build/dev -Dwerror=true >/dev/null
	@export PATH="$(CURDIR)/$(BIN):$$PATH"; meson compile -C build/dev >/dev/null || meson compile -C build/dev
	@cp build/dev/_core.abi3.so src/latebind/

include tools/core-asan.mk

demo: setup ## show, with real output, what latebind does
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python examples/demo.py

test: setup ## run the tests
	@$(BIN)/python -m pytest -n auto -m "not slow" $(ARGS)

test-all: setup ## run the tests, the slow ones too
	@$(BIN)/python -m pytest -n auto $(ARGS)

lint: setup ## ruff and mypy --strict
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy

format: setup ## let ruff mend what it can
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

# -P: bench/inspect.py must not hide the standard library's module of that name.
bench: setup $(VENV)/.bench ## run every benchmark in bench/
	@for program in bench/*.py; do [ -e "$$program" ] || { echo "bench: there is none yet"; break; }; \
	    echo "== $$program"; $(BIN)/python -P "$$program" || exit 1; done

$(VENV)/.fuzz: pyproject.toml $(VENV)/.tools
	@$(BIN)/python tools/requirements.py fuzz > $(VENV)/requirements-fuzz.txt
	@$(PIP) install --quiet --requirement $(VENV)/requirements-fuzz.txt || echo "fuzz: without atheris; mutating blindly"
	@touch $@

fuzz: setup $(VENV)/.fuzz ## look for inputs that break the readers, SECONDS=60 for each
	@tests/fuzz/run $(BIN)/python $(or $(SECONDS),60) $(RUNS)

flips: setup ## damage libraries 100,000 times, plan all and load a part; goes on where it stopped
	@$(BIN)/python tests/faults/campaign.py build/flips $(ARGS)

$(VENV)/.bench: pyproject.toml $(VENV)/.tools
	@$(BIN)/python tools/requirements.py bench > $(VENV)/requirements-bench.txt
	@$(PIP) install --quiet --requirement $(VENV)/requirements-bench.txt || echo "bench: some rivals are missing"
	@touch $@

$(VENV)/.docs: pyproject.toml $(VENV)/.tools
	@$(BIN)/python tools/requirements.py docs > $(VENV)/requirements-docs.txt
	@$(PIP) install --quiet --requirement $(VENV)/requirements-docs.txt
	@touch $@

docs: setup $(VENV)/.docs ## build the documentation into build/docs
	@$(BIN)/python -m sphinx -W --keep-going -q -b html docs build/docs
	@echo "docs: open build/docs/index.html"

wheel: $(VENV)/.tools ## build the wheel into dist/
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(PIP) wheel --quiet --no-build-isolation --no-deps --wheel-dir dist .
	@ls dist/*.whl

clean: ## remove everything that was built
	@rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	@find src tests examples bench tools -name __pycache__ -prune -exec rm -rf {} +
	@rm -f src/latebind/_core*.so
