# Everything runs in a .venv of its own, made by the first target that needs it.
#   make setup PYTHON=python3.12             with another Python
#   make setup PIP_ARGS="--extra-index-url URL"   pip's options, for instance a package index with CPU builds of torch

PYTHON   ?= python3
PIP_ARGS ?=
BIN      := .venv/bin
READY    := .venv/.ready
TASK     ?= ../shared/speech/dev
SOURCES  := stdsearch indexer train
quote     = '$(subst ','\'',$(1))'

# TERM is also the terminal's name in the environment: only `make demo TERM=...` means a term to search for.
ifeq ($(origin TERM),command line)
  DEMO_ARGS += --term $(call quote,$(TERM))
  unexport TERM
endif
ifneq ($(AUDIO),)
  DEMO_ARGS += --audio $(call quote,$(AUDIO))
endif

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-all lint bench clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s%s\n", $$1, $$2 }' Makefile

setup: $(READY)  ## install stdsearch and its tools into .venv

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("stdsearch needs Python 3.11 or newer, this is " + sys.version.split()[0] + ": name one with make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install $(PIP_ARGS) --constraint constraints.txt --editable '.[dev,demo,render]'
	@touch $@

demo: $(READY)  ## search a small archive of synthetic voices, or your own: AUDIO=DIR TERM="a phrase"
	@$(BIN)/python benchmarks/demo/run.py $(DEMO_ARGS)

test: $(READY)  ## the tests, without those that take minutes
	$(BIN)/python -m pytest -m "not slow"

test-all: $(READY)  ## all tests
	$(BIN)/python -m pytest

lint: $(READY)  ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(READY)  ## index, search and score a task directory: TASK=DIR
	$(BIN)/python benchmarks/std_task.py $(TASK) --name $(notdir $(TASK)) --out runs/$(notdir $(TASK))

clean:  ## remove what the targets made, except .venv
	rm -rf demo build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find $(SOURCES) tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
