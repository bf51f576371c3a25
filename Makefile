# make demo   train, convert and run a digit classifier and the balanced network (installs what it needs)
# make test   run the tests        make lint   ruff        make types   pyright
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: demo test lint types clean

demo: .venv/runs
	$(BIN)/spikesim demo

test: .venv/tests
	$(BIN)/python -m pytest -n auto

lint: .venv/tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/tests
	$(BIN)/pyright

clean:
	rm -rf .venv build dist *.egg-info demo

.venv/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "spikesim needs Python 3.11 or later, found " + sys.version)'
	$(PYTHON) -m venv .venv

# torch comes first and pinned: another version would bring gigabytes of CUDA libraries
.venv/runs: .venv/bin/python pyproject.toml constraints.txt
	$(PIP) torch==2.13.0
	$(PIP) -e '.[convert]'
	touch $@

# Lava, which the emulator of Loihi is compared with; its metadata asks for Python 3.10 and numpy 1, it runs with ours (see hardware/loihi/lava.py)
.venv/lava: .venv/runs
	$(PIP) networkx asteval scikit-learn
	$(PIP) --no-deps --ignore-requires-python lava-nc==0.10.0
	touch $@

.venv/tests: .venv/runs .venv/lava
	$(PIP) -e '.[dev]'
	touch $@
