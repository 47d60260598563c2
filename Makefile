# make demo: the main job on real data.  make test: the whole test suite.
# make test-long: the tests that take too long for that.  make engines: the servers that tests start.
# make browser: the browser that tests look at reports in.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
ENGINES := $(or $(SEQMILL_ENGINES),.engines)
PRISM := v2.77.0
MINIO := v0.0.0-20260212201848-7aac2a2c5b7c

.PHONY: demo test test-long engines browser servers fuzz lint types unit wheel api lock clean

# One pass over the corpus in four epochs; `seqmill run examples/g2p/config.toml` goes on from there.
demo: $(STAMP)
	$(BIN)/python examples/g2p/make_corpus.py examples/g2p/work/corpus
	$(BIN)/seqmill preprocess examples/g2p/config.toml --num_epochs=4
	$(BIN)/seqmill plan examples/g2p/config.toml --num_epochs=4
	$(BIN)/seqmill show examples/g2p/work --num_batches 2 --num_seqs 4
	$(BIN)/seqmill train examples/g2p/config.toml --num_epochs=4
	$(BIN)/python -W ignore::UserWarning examples/g2p/pronounce.py examples/g2p/work

test: lint types unit

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(STAMP)
	$(BIN)/mypy

# A file's tests in one process, as they share what is dear to start; files in the order of their names, as those
# at the end are short.
unit: $(STAMP) servers
	$(BIN)/pytest -n logical --maxprocesses=4 --dist loadfile --no-loadscope-reorder

# Damages raw inputs and files of ours: make fuzz CASES=100000 FIRST=20000
CASES ?= 20000
FIRST ?= 0
fuzz: $(STAMP)
	$(BIN)/python tests/fuzz/fuzz.py --cases=$(CASES) --first=$(FIRST)

# A marker without tests is no failure (pytest's exit code 5).
test-long: $(STAMP) servers
	$(BIN)/pytest -m long || [ $$? = 5 ]

# Beam's portable runner Prism and the S3 server MinIO, which tests start; built once for each version.
engines: $(ENGINES)/prism-$(PRISM) $(ENGINES)/minio-$(MINIO)

$(ENGINES)/prism-$(PRISM):
	$(call build,prism,github.com/apache/beam/sdks/v2/go/cmd/prism@$(PRISM),$@)

$(ENGINES)/minio-$(MINIO):
	$(call build,minio,github.com/minio/minio@$(MINIO),$@)

# In a folder of its own first: two of these may run at once, and tests beside them.
define build
	@command -v go > /dev/null || { echo "Go is needed to build $(1): install it, or run the tests without it"; exit 1; }
	@echo "Building $(1) with Go (once; later runs reuse it)"
	@mkdir -p $(ENGINES)/bin
	@folder=$$(mktemp -d $(abspath $(ENGINES))/building.XXXXXX) && trap 'rm -rf $$folder' EXIT && \
		GOBIN=$$folder CGO_ENABLED=0 go install $(2) && \
		mv -f $$folder/$(1) $(ENGINES)/bin/$(1) && touch $(3)
endef

# Tests say themselves what they lack: here they are skipped, where CI=true is set they fail.
servers:
	@if command -v go > /dev/null; then $(MAKE) --no-print-directory engines || true; fi
	@$(MAKE) --no-print-directory browser || true

# Chromium, by the system's packages where one may install them.
browser:
	@command -v chromium > /dev/null || command -v chromium-browser > /dev/null || command -v google-chrome > /dev/null || { \
		{ [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null; } || \
			{ echo "install Chromium, or run the tests without it"; exit 1; }; \
		echo "Installing Chromium"; \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium > /dev/null; }

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
		--extra train-cpu --extra audio --extra subwords --extra report --extra hdf --extra dask --extra s3 --group dev \
		pyproject.toml -o requirements.lock

clean:
	rm -rf $(VENV) .engines examples/*/work
