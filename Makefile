# Two commands matter: `make book` and `make test`. Each sets up what it needs and says where its result is.

PYTHON ?= python3
PRESET ?= tiny
SEED   ?= 0
LANGUAGE ?= de
ARGS   ?=
# Processes of `make test`: files are shared out, the tests of one file stay together. JOBS=0 runs all in one.
JOBS   ?= 2
VENV   ?= .venv
# To spare the CUDA libraries on Linux: make setup TORCH_INDEX=<PyTorch's CPU index>. Only PyTorch is taken from there, by its hash.
export TORCH_INDEX ?=

BIN   := $(VENV)/bin
STAMP := $(VENV)/.astraclr-installed
# What the rules of accessibility are read from.
AXE := tests/book/pages/node_modules/axe-core/axe.min.js
# Chapters without training: their stored outputs are compared with a fresh run.
CHECKED := $(wildcard book/01_*.ipynb book/02_*.ipynb book/03_*.ipynb)

# One thread: equal seeds give equal bytes, and small matrices lose far more to waiting threads than they gain.
export OMP_NUM_THREADS ?= 1
export OPENBLAS_NUM_THREADS ?= 1
export MKL_NUM_THREADS ?= 1
export NUMBA_NUM_THREADS ?= 1
# Where chapters keep what they trained.
export ASTRACLR_CACHE ?= $(CURDIR)/_build/cache

.PHONY: help setup book test check-site check-processors pdf student slides scripts nbgrader translation epub bench-representation results lint audit wheel clean
.DEFAULT_GOAL := help

help:
	@echo "make book [PRESET=tiny|laptop|gpu|paper] [SEED=0]  run the chapters, build the pages: _build/html/index.html"
	@echo "make book ARGS=--accept-figures                    the same, and keep what the figures show, to compare later builds with"
	@echo "make test [ARGS='-k views'] [JOBS=2]               ruff, the tests, examples in docstrings, stored outputs of chapters"
	@echo "make check-site                                    after make book: every page in a real browser, without a network"
	@echo "make check-processors [ARGS='--settings avx2']      the chapters as other processors round, words and figures checked"
	@echo "make pdf                                           after make book: the whole book to print, _build/book.pdf"
	@echo "make epub                                          after make book: the whole book for readers, _build/book.epub"
	@echo "make bench-representation [PRESET=tiny] [ARGS='--rows paper* --seeds 1']  every encoder beside its controls, as JSON"
	@echo "make results [JOBS=2] [ARGS=--list]                every stale committed result, encoder and card again; --list only says which and why"
	@echo "make student                                       notebooks without solutions: _build/student/ and _build/student.zip"
	@echo "make scripts                                       every chapter as a Python file: _build/scripts/"
	@echo "make nbgrader                                      exercises as assignments with tests: _build/nbgrader/"
	@echo "make translation LANGUAGE=de                       the pages with what is translated, after make book: _build/de/"
	@echo "make slides [PRESET=tiny]                          a deck a chapter, after make book: _build/slides/"
	@echo "make setup                                         the environment only: $(VENV), Python >= 3.11 (PYTHON=...)"
	@echo "make lint                                          ruff (rules and format), layers of imports, types"
	@echo "make audit                                         known vulnerabilities of the locked packages (needs the network)"
	@echo "make wheel                                         dist/*.whl"
	@echo "make clean                                         remove _build (pages, runs, trained models), not $(VENV)"

setup: $(STAMP)
	@echo "Environment: $(VENV) ($$($(BIN)/python --version))"

$(STAMP): pyproject.toml constraints/install.py $(wildcard constraints/*.txt)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or later is needed; '$(PYTHON)' is $$($(PYTHON) --version 2>&1). Try: make $(or $(MAKECMDGOALS),setup) PYTHON=python3.11" >&2; exit 1; }
	@echo "Setting up $(VENV): some 2 to 3 GB, a few minutes the first time."
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python constraints/install.py
	@touch $@

book: $(STAMP)
	@echo "Building the book at preset '$(PRESET)', seed $(SEED)."
	@$(BIN)/python book/build.py --preset $(PRESET) --seed $(SEED) $(ARGS)

test: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m pytest tests astraclr --doctest-modules --ignore tests/book/pages -n $(JOBS) --dist loadfile $(CHECKED) --nbval-lax --nbval-current-env --nbval-sanitize-with tests/nbval.cfg $(ARGS)

# Without npm the pages are looked at, but not by the rules of accessibility; without a browser only their links are followed.
check-site: $(STAMP) $(AXE)
	$(BIN)/python -m pytest tests/book/pages $(ARGS)

$(AXE): tests/book/pages/package-lock.json
	@if command -v npm >/dev/null; then (cd tests/book/pages && npm ci --silent --ignore-scripts --no-audit --no-fund) && touch $@; \
	else echo "No npm: accessibility is not looked at."; fi

# Some 15 minutes of processor time for each of three settings; chapter 4 trains anew in each.
check-processors: $(STAMP)
	@$(BIN)/python book/processors.py $(ARGS)

pdf: $(STAMP)
	@$(BIN)/python book/printing.py

student: $(STAMP)
	@$(BIN)/python book/student.py

slides: $(STAMP)
	@$(BIN)/python book/slides.py --preset $(PRESET)

scripts: $(STAMP)
	@$(BIN)/python book/exports.py scripts

nbgrader: $(STAMP)
	@$(BIN)/python book/exports.py nbgrader

epub: $(STAMP)
	@$(BIN)/python book/epub.py

translation: $(STAMP)
	@$(BIN)/python book/translations.py build $(LANGUAGE)

bench-representation: $(STAMP)
	$(BIN)/python benchmarks/representation.py --preset $(PRESET) $(ARGS)

# Hours: it says how many before it starts. After a stop the same command goes on.
results: $(STAMP)
	@$(BIN)/python benchmarks/make_results.py --jobs $(JOBS) $(ARGS)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/pyright --pythonpath $(BIN)/python

# Known vulnerabilities of the locked packages; this needs a network beyond the index. The auditor has an environment of its own.
audit:
	@$(PYTHON) -m venv _build/audit
	@_build/audit/bin/python -m pip install --quiet --no-deps --only-binary :all: --require-hashes -r constraints/audit.txt
	_build/audit/bin/pip-audit --strict --require-hashes --disable-pip -r constraints/locked.txt -r constraints/torch.txt $(ARGS)

# With the build backend of the lock, and not the newest of an index.
wheel: $(STAMP)
	@rm -rf dist
	@$(BIN)/python -m pip wheel --quiet --no-deps --no-index --no-build-isolation --wheel-dir dist . && ls dist/*.whl

clean:
	rm -rf _build dist
