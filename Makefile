# `make demo` and `make test` need only Python (3.11 or newer) and make: each builds .venv from pyproject.toml + constraints.txt.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LOWEST := .venv-lowest
GUESTS := .venv-guests
PARALLEL := -n auto --maxprocesses 4 --dist worksteal  # neighbours, which share fixtures and compilations, stay together

.PHONY: demo test lint docs links lowest guests bench thorough mutants clean

demo: $(VENV)/demo.stamp  ## train on 5,000 real digits; print a table, save a figure
	$(BIN)/jpvae demo --out demo

test: $(VENV)/dev.stamp  ## every theorem, equation and law
	$(BIN)/python -m pytest proofs_tests $(PARALLEL)

lint: $(VENV)/dev.stamp  ## style, formatting and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(VENV)/dev.stamp  ## the docs site in docs/_build/html; every warning is an error
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html

links: $(VENV)/dev.stamp  ## every link of the docs that leaves them is answered; needs a network
	$(BIN)/python -m sphinx -W --keep-going -q -b linkcheck docs docs/_build/links

lowest: $(LOWEST)/dev.stamp  ## the tests on the lowest versions that pyproject.toml allows, torch apart
	$(LOWEST)/bin/python -m pytest proofs_tests $(PARALLEL) $(OLD)

guests: $(GUESTS)/guests.stamp  ## the examples in other libraries (cca_zoo, Equinox, Flax, NumPyro, MultiVae, ...), each with its number
	set -e; for example in examples/guests/*.py; do echo "-- $$example"; $(GUESTS)/bin/python $$example; done

bench: $(VENV)/dev.stamp  ## speed and accuracy against the alternatives
	$(BIN)/python -m pytest benchmarks --benchmark-only

thorough: $(VENV)/dev.stamp  ## odd values, more cases, fifty times the examples, every mutant (hours of processor time; goes on where it stopped)
	$(BIN)/python -m pytest proofs_tests -m thorough $(PARALLEL)
	$(BIN)/python proofs_tests/_support/odd_calls.py
	$(BIN)/python proofs_tests/_support/thorough.py
	$(MAKE) mutants

MUTANTS := .mutants.json
mutants: $(VENV)/dev.stamp  ## every slip in core and backends that no test would notice (two to three hours of processor time)
	$(BIN)/python proofs_tests/_support/mutants.py $(MUTANTS) || test -s $(MUTANTS)
	$(BIN)/python proofs_tests/_support/mutants_document.py $(MUTANTS)

$(VENV)/demo.stamp: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[demo]'
	touch $@

$(VENV)/dev.stamp: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $(VENV)/demo.stamp $@

# torch stays at its pin: the wheels of its lower bound bring CUDA and weigh gigabytes. Old releases warn of each other's new ones.
OLD := -W ignore::DeprecationWarning -W ignore::PendingDeprecationWarning -W ignore::FutureWarning
$(LOWEST)/dev.stamp: pyproject.toml constraints.txt .ci/lowest_versions.py
	test -x $(LOWEST)/bin/python || $(PYTHON) -m venv $(LOWEST)
	$(LOWEST)/bin/python .ci/lowest_versions.py > $(LOWEST)/constraints.txt
	$(LOWEST)/bin/python -m pip install --quiet --disable-pip-version-check -c $(LOWEST)/constraints.txt -e '.[dev]'
	touch $@

# torchvision is a dependency of multivae, which uses none of its compiled operators here. Beside a torch of another build (CPU, CUDA)
# it cannot be imported, but for old releases, which go on without them.
OLD_VISION := torchvision==0.15.2
$(GUESTS)/guests.stamp: pyproject.toml constraints.txt
	test -x $(GUESTS)/bin/python || $(PYTHON) -m venv $(GUESTS)
	$(GUESTS)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[guests]'
	$(GUESTS)/bin/python -c 'import torchvision' 2>/dev/null || \
	  $(GUESTS)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps '$(OLD_VISION)'
	$(GUESTS)/bin/python -W ignore -c 'import torchvision'
	touch $@

clean:
	rm -rf $(VENV) $(LOWEST) $(GUESTS) docs/_build demo dist .pytest_cache .mypy_cache .ruff_cache
