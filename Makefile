# Everything starts from Python >= 3.11 and nothing else; the first target that needs it makes .venv.
PYTHON ?= python3
BIN := .venv/bin
WORKERS ?= 2
# Where it is set, each of the suite's hundred processes would compile the whole program again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test check bench openapi lock migration clean

.venv/ready: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Keysat needs Python 3.11 or newer")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

demo: .venv/ready  ## an empty folder to a shop that sells, with a wallet of play money
	$(BIN)/keysat demo $(DEMO)

test: .venv/ready  ## the whole suite, on SQLite and on PostgreSQL
	$(BIN)/python -m pytest -n $(WORKERS) $(TEST)

check: .venv/ready  ## what a machine can check without running the program
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright
	$(BIN)/python -m pytest -q tests/test_architecture.py

bench: .venv/ready  ## measured, never asserted; SIZE=1M DUE=10000 EVENTS=10000 for the large one
	$(BIN)/python -m tests.bench --size $(or $(SIZE),100k) --due $(or $(DUE),1000) --events $(or $(EVENTS),1000)

openapi: .venv/ready  ## docs/openapi.json and the answers in keysat/web/examples, from the code
	$(BIN)/python -m tests.web.story

lock: .venv/ready  ## after a change of the dependencies in pyproject.toml
	$(BIN)/pip-compile --quiet --generate-hashes --no-emit-index-url --no-emit-find-links --no-emit-trusted-host \
		--strip-extras --allow-unsafe --no-header --extra dev -o requirements.lock pyproject.toml

clean:
	rm -rf .venv .pytest_cache .ruff_cache .hypothesis dist
