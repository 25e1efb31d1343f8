# Everything that a newcomer or CI needs: `make demo`, `make test`. Both set up what is missing, both can be repeated.
SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready

.PHONY: demo demo-ci test setup system lint types layers bench release clean help

help:
	@echo "make demo    set everything up and mark a sample class"
	@echo "make demo-ci mark the pull requests of a sample class"
	@echo "make test    set everything up and run every check and test"
	@echo "make bench   every benchmark, on this machine (hours)"
	@echo "make release generate the students' notebooks from their solutions"

demo: setup
	$(BIN)/grader demo softmax-regression

demo-ci: setup
	$(BIN)/python scripts/demo_ci.py

test: setup lint types layers
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder # three: many of them wait

setup: system $(STAMP)

system:
	@scripts/system_packages.sh

$(STAMP): pyproject.toml constraints.txt scripts/setup.sh | system
	@PYTHON="$$(scripts/find_python.sh)" scripts/setup.sh $(VENV)
	@touch $@

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

layers: setup
	$(BIN)/lint-imports

bench: setup
	$(BIN)/python benchmarks/class_of_20.py
	$(BIN)/python benchmarks/overhead.py
	$(BIN)/python benchmarks/overhead_real.py
	$(BIN)/python benchmarks/performance_checks.py
	$(BIN)/python benchmarks/hostile_class.py
	$(BIN)/python benchmarks/scale.py
	$(BIN)/python benchmarks/growth.py
	$(BIN)/python benchmarks/kill_rounds.py
	$(BIN)/python benchmarks/fault_rounds.py

release: setup
	$(BIN)/grader release

clean:
	rm -rf $(VENV) demo demo-ci .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
