# One command a job, the same on a desk and in CI. Everything runs from .venv, installed from hashed lock files.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
JOBS ?= 2
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check

# A target whose making failed is not there, and one environment is made by one pip at a time.
.DELETE_ON_ERROR:
.NOTPARALLEL:

.PHONY: help serve load test browser test-browser picture fuzz soak setup check audit format bench bench-core bench-workers \
    bench-abuse lock clean

help:  ## say what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 22

serve: $(VENV)/.runtime  ## start the service; options: make serve ARGS="--port 9000"
	@exec $(BIN)/python -m service $(ARGS)

load: $(VENV)/.loadgen  ## put it under load and check every answer; make load ARGS="run --duration 60"
	@exec $(BIN)/python -m loadgen $(or $(ARGS),run)

test: $(VENV)/.bench browser  ## run the whole test suite; options: make test ARGS="-k fold -x"
	@$(BIN)/python -m pytest -n $(JOBS) --dist loadfile $(ARGS)

fuzz: $(VENV)/.development  ## other random requests in every run, for a while: make fuzz SECONDS=600
	@$(BIN)/python -m tests.service.fuzz $(or $(SECONDS),60) $(SEED)

test-browser: browser  ## test just the pages, in Chromium (apt-get install chromium)
	@$(BIN)/python -m pytest tests/service/pages/test_dashboard*.py tests/service/pages/test_docs.py $(ARGS)

# Where this fails, the tests that need a browser say that they were not run.
browser: $(VENV)/.development
	@command -v chromium >/dev/null || \
	    timeout 300 $(BIN)/python -m playwright install --only-shell chromium >/dev/null 2>&1 || true

picture: browser  ## take the picture of the dashboard in the README anew
	@$(BIN)/python -m docs.picture docs/dashboard.png

setup: $(VENV)/.development  ## just the environment, runtime and development

check: $(VENV)/.development audit  ## lint, format, types, careless code, known vulnerabilities
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/bandit --quiet --configfile pyproject.toml --recursive aggregation service loadgen

audit: $(VENV)/.development  ## look up every locked dependency among the known vulnerabilities
	@$(BIN)/python .ci/audit.py

format: $(VENV)/.development  ## put the code into its format
	@$(BIN)/ruff format
	@$(BIN)/ruff check --fix --quiet

bench: $(VENV)/.bench  ## tenfold beside bare Sanic and the ordinary ways, in minutes; make bench ARGS="--quick"
	@$(BIN)/python -m loadgen.bench $(ARGS)

bench-core: $(VENV)/.runtime  ## time append, roll-up and fold beside numpy
	@$(BIN)/python -m loadgen.bench.core $(ARGS)

bench-workers: $(VENV)/.loadgen  ## compare one worker with two under load
	@$(BIN)/python -m loadgen.bench.plans workers $(ARGS)

bench-abuse: $(VENV)/.loadgen  ## time a normal client beside idle sockets, slow-loris and the like
	@$(BIN)/python -m loadgen.bench.plans abuse $(ARGS)

MINUTES ?= 10
soak: $(VENV)/.loadgen  ## load, kills and abusive clients together: make soak MINUTES=10
	@$(BIN)/python -m loadgen soak --minutes $(MINUTES) $(ARGS)

lock: pyproject.toml  ## resolve the dependencies anew (needs uv)
	uv pip compile --quiet --universal --generate-hashes --upgrade \
	    --custom-compile-command "make lock" -o requirements.lock pyproject.toml
	uv pip compile --quiet --universal --generate-hashes --upgrade --group loadgen \
	    --custom-compile-command "make lock" -c requirements.lock -o requirements-loadgen.lock pyproject.toml
	uv pip compile --quiet --universal --generate-hashes --upgrade --group bench \
	    --custom-compile-command "make lock" -c requirements-loadgen.lock -o requirements-bench.lock pyproject.toml
	uv pip compile --quiet --universal --generate-hashes --upgrade --group dev \
	    --custom-compile-command "make lock" -c requirements-loadgen.lock -o requirements-dev.lock pyproject.toml

clean:  ## remove the environment and all caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +

# While packages are installed .made has another name. If that is cut off, the next make begins with an empty environment,
# because what pip had half installed would look finished to it.
define install
	@echo "installing $(1) …"
	@mv $(VENV)/.made $(VENV)/.making
	@$(PIP) install --require-hashes -r $<
	@mv $(VENV)/.making $(VENV)/.made
	@touch $@
endef

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "tenfold needs Python 3.11 or newer: make PYTHON=python3.12 …"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null && $(PYTHON) -m venv --clear $(VENV) >/dev/null || \
	    { rm -rf $(VENV); echo "this Python makes no virtual environments: apt-get install python3-venv"; exit 1; }
	@touch $@

$(VENV)/.runtime: requirements.lock $(VENV)/.made
	$(call install,what tenfold runs on)

$(VENV)/.loadgen: requirements-loadgen.lock $(VENV)/.runtime
	$(call install,what the load generator needs)

$(VENV)/.bench: requirements-bench.lock $(VENV)/.runtime
	$(call install,what the benchmark compares with)

$(VENV)/.development: requirements-dev.lock $(VENV)/.runtime
	$(call install,what tenfold is tested with)
