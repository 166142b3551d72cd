# `make demo` and `make test` do everything on a fresh machine with Python 3.11+, git and make.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
BASE := $(VENV)/.installed
STAMP := $(VENV)/.installed-dev
INSTALL = $(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check --constraint constraints.txt --editable
PAGE = $(abspath $(or $(RRGBENCH_STORE),store))/leaderboard.html
SANDBOX = $(if $(filter 0,$(shell id -u)),--no-sandbox)  # chromium has none for root

.PHONY: demo page test test-fast lint bench truths clean

demo: $(BASE)  ## run the quickstart on phantom, print its leaderboard and write its page
	$(BIN)/rrgbench run experiments/quickstart.yaml
	$(BIN)/rrgbench leaderboard build quickstart

page: demo  ## the demo's page, and its picture where chromium is installed
	! command -v chromium > /dev/null || chromium --headless --hide-scrollbars --window-size=1400,1700 $(SANDBOX) \
	  --screenshot=$(PAGE:.html=.png) file://$(PAGE)

test: $(STAMP)  ## everything that CI runs
	$(BIN)/python -m pytest -n 2 --dist loadfile --durations 15

test-fast: $(STAMP)  ## the edit loop: no heavy tests
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not heavy"

lint: $(STAMP)  ## ruff, mypy, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(STAMP)  ## speed as ratios, side by side, in one run
	$(BIN)/python benchmarks/run.py

truths: $(STAMP)  ## planted effects are found, and nothing where nothing is planted
	$(BIN)/python experiments/truths/run.py

# The virtual environment is made once, and again when what it is made from changes. The demo needs none of the optional parts.
# Not compiled: most files of the large libraries are never imported, and those that are compile themselves.
$(BASE): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "rrgbench needs Python 3.11 or newer")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(INSTALL) .
	touch $@

$(STAMP): pyproject.toml constraints.txt | $(BASE)
	$(INSTALL) '.[dev]'
	touch $@

clean:  ## forget the environment, not the store
	rm -rf $(VENV)
