# make demo: the main job on real data.  make test: the whole test suite.
# make test-long: the tests that take too long for that.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test test-long fuzz lint types unit wheel api lock clean

# One pass over the corpus in four epochs; `seqmill run examples/g2p/config.toml` goes on from there.
demo: $(STAMP)
	$(BIN)/python examples/g2p/make_corpus.py examples/g2p/work/corpus
	$(BIN)/seqmill preprocess examples/g2p/config.toml --num_epochs=4
	$(BIN)/seqmill plan examples/g2p/config.toml --num_epochs=4
	$(BIN)/seqmill show examples/g2p/work --num_batches 2 --num_seqs 4
	$(BIN)/seqmill train examples/g2p/config.toml --num_epochs=4
	TF_CPP_MIN_LOG_LEVEL=2 $(BIN)/python -W ignore::UserWarning examples/g2p/pronounce.py examples/g2p/work

test: lint types unit

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(STAMP)
	$(BIN)/mypy

unit: $(STAMP)
	$(BIN)/pytest

# Damages raw inputs and files of ours: make fuzz CASES=100000 FIRST=20000
CASES ?= 20000
FIRST ?= 0
fuzz: $(STAMP)
	$(BIN)/python tests/fuzz/fuzz.py --cases=$(CASES) --first=$(FIRST)

# A marker without tests is no failure (pytest's exit code 5).
test-long: $(STAMP)
	$(BIN)/pytest -m long || [ $$? = 5 ]

# The virtual environment, made anew where the lock or the package's definition has changed.
$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "seqmill needs Python 3.11 or newer; name one with make PYTHON=..."; exit 1; }
	@echo "Installing into $(VENV) (once; later runs reuse it)"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $(STAMP)

# Builds sdist and wheel, and uses the wheel in a fresh environment elsewhere.
wheel: $(STAMP)
	$(BIN)/python .ci/check_wheel.py

# Makes docs/api.md from the docstrings of the public names; a test says when it is due.
api: $(STAMP)
	$(BIN)/python docs/make_api.py > docs/api.new && mv docs/api.new docs/api.md

# Needs uv on the path; pins everything that tests and examples use, for all platforms.
lock:
	uv pip compile --universal --generate-hashes --no-header --python-version 3.11 --quiet \
		--extra train-cpu --extra audio --extra subwords --extra dask --group dev \
		pyproject.toml -o requirements.lock

clean:
	rm -rf $(VENV) examples/*/work
