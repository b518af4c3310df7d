# Everything a person or CI does here goes through these targets. Needs python3 (3.11 or newer) with venv, and git.

PYTHON ?= python3
UV_VERSION := 0.13.9
LOCK := requirements/dev.lock
BIN := .venv/bin
UV := .tools/bin/uv
UV_STAMP := .tools/.uv-$(UV_VERSION)
ENV_STAMP := .venv/.synced
TORCH := torch==2.13.0
TORCH_LOCK := requirements/torch.lock
CLIENTS_LOCK := requirements/clients.lock
CLIENTS_STAMP := .venv-clients/.synced
PORT ?= 8888
NOTEBOOK ?= notebooks/00_the_whole_game.ipynb
SAMPLE ?= 0
ARGS ?=
PEERS := mlserver bentoml fastapi

export UV_PYTHON_DOWNLOADS := never
export UV_LINK_MODE ?= copy
export MLFLOW_DISABLE_TELEMETRY := true

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup clients demo lab test test-torch test-unit lint format bench bench-conversion bench-serving bench-explanations campaign soak mutate locks clean git

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(ENV_STAMP) ## Make .venv/ with the exact versions of requirements/dev.lock

clients: $(CLIENTS_STAMP) ## Make .venv-clients/ with other servers' clients, which a test of the endpoint runs

demo: $(ENV_STAMP) ## Run the tutorial and tell what happened (NOTEBOOK=notebooks/02_trust.ipynb for another)
	@$(BIN)/python tools/demo.py --notebook $(NOTEBOOK)

lab: $(ENV_STAMP) ## Open the notebook live in JupyterLab, on this machine alone
	@$(BIN)/jupyter lab --ServerApp.ip=127.0.0.1 --ServerApp.port=$(PORT) \
	  $$([ "$$(id -u)" -ne 0 ] || echo --allow-root) $(NOTEBOOK)

test: git $(ENV_STAMP) ## Run the whole test suite (ARGS=tests/serving for a part of it)
	$(BIN)/python -m pytest $(ARGS)

test-torch: git .venv-torch/.synced ## Run the tests of what needs torch, in an environment of their own (a download of 200 MB)
	.venv-torch/bin/python -m pytest -c pyproject.toml -o addopts="-ra --strict-markers --import-mode=importlib" tests/torch $(ARGS)

test-unit: git $(ENV_STAMP) ## Run the tests that need no server, database, notebook or browser
	$(BIN)/python -m pytest -m "not integration" $(ARGS)

lint: $(ENV_STAMP) ## Check style, types, layers, dependencies, spelling and sizes
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/deptry .
	$(BIN)/codespell
	$(BIN)/python tools/sizes.py

format: $(ENV_STAMP) ## Lay out the code as `make lint` wants it
	$(BIN)/ruff check --fix --quiet . || true
	$(BIN)/ruff format .

bench: $(ENV_STAMP) ## Measure, each against a peer in the same run; tables go to build/benchmarks/
	$(BIN)/python benchmarks/harness.py

bench-conversion: $(ENV_STAMP) ## Convert, check and measure every model of the matrix, 15 minutes; writes its page in docs (ARGS=--quick to try)
	$(BIN)/python benchmarks/bench_conversion.py $(if $(ARGS),--out build/benchmarks,--out benchmarks/results --docs docs) $(ARGS)

bench-serving: $(ENV_STAMP) $(PEERS:%=.venv-%/.synced) ## Measure the scoring server against its peers, 15 minutes; needs wrk (ARGS=--quick to try)
	@command -v wrk >/dev/null || { echo "wrk is missing: install it (Debian, Ubuntu: sudo apt install wrk)." >&2; exit 1; }
	$(BIN)/python benchmarks/bench_serving.py --out $(if $(ARGS),build/benchmarks,benchmarks/results) $(ARGS)

bench-explanations: $(ENV_STAMP) ## Explain 100 trees by a budget of rows beside shap on all of them, 2 minutes
	$(BIN)/python benchmarks/bench_explanations.py --out benchmarks/results

campaign: $(ENV_STAMP) ## Kill processes of a live endpoint under load, twenty rounds (ARGS='--rounds 5 --seed 3')
	$(BIN)/python benchmarks/campaign.py --out $(if $(ARGS),build/benchmarks,benchmarks/results) $(ARGS)

soak: $(ENV_STAMP) ## Send 200,000 requests to an endpoint, good, bad and large ones; its memory has to stay flat
	$(BIN)/python benchmarks/soak.py --out $(if $(ARGS),build/benchmarks,benchmarks/results) $(ARGS)

mutate: git $(ENV_STAMP) ## Take out each guard in turn; its tests must notice (SAMPLE=20 for a few)
	$(BIN)/python tools/mutate.py --sample $(SAMPLE)

LOCKED := $(UV) pip compile --quiet --universal --generate-hashes --no-annotate \
  --python-version 3.11 --custom-compile-command "make locks"
# What a peer shares with us it gets in the version of our own lock, so that a fitted model can be read there and like
# is compared with like.
SHARED := cloudpickle|httptools|joblib|numpy|onnxruntime|pandas|scikit-learn|scipy|uvicorn|uvloop
locks: $(UV_STAMP) ## Resolve requirements/*.lock anew (UPGRADE=1 takes the newest versions)
	echo uv==$(UV_VERSION) | $(LOCKED) --output-file requirements/tools.lock -
	$(LOCKED) $(if $(UPGRADE),--upgrade) pyproject.toml --output-file requirements/base.lock
	$(LOCKED) $(if $(UPGRADE),--upgrade) --group dev pyproject.toml --output-file requirements/dev.lock
	$(LOCKED) $(if $(UPGRADE),--upgrade) --group binder pyproject.toml --output-file requirements/binder.lock
	$(LOCKED) $(if $(UPGRADE),--upgrade) requirements/clients.in --output-file $(CLIENTS_LOCK)
	$(LOCKED) --no-deps $(if $(UPGRADE),--upgrade) requirements/torch.in --output-file $(TORCH_LOCK)
	mkdir -p build && grep -E '^($(SHARED))==' requirements/dev.lock | sed 's/ \\$$//' >build/shared.txt
	for peer in $(PEERS); do $(LOCKED) $(if $(UPGRADE),--upgrade) --constraint build/shared.txt \
	  requirements/peers-$$peer.in --output-file requirements/peers-$$peer.lock || exit 1; done

clean: ## Remove what was built and cached, the environment included
	rm -rf .venv .venv-* .tools .cache build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis

git:
	@command -v git >/dev/null || { echo "git is missing: install it (Debian, Ubuntu: sudo apt install git)." >&2; exit 1; }

$(UV_STAMP): requirements/tools.lock
	@command -v $(PYTHON) >/dev/null || \
	  { echo "$(PYTHON) is missing: install Python 3.11 or newer (Debian, Ubuntu: sudo apt install python3 python3-venv)." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "$$($(PYTHON) --version) is too old: Python 3.11 or newer is needed; choose one with make PYTHON=python3.12 …" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
	  { echo "$(PYTHON) has no venv module: install it (Debian, Ubuntu: sudo apt install python3-venv)." >&2; exit 1; }
	@echo "Installing uv $(UV_VERSION) into .tools/"
	@rm -rf .tools && $(PYTHON) -m venv .tools
	@.tools/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/tools.lock
	@touch $@

$(ENV_STAMP): $(UV_STAMP) $(LOCK) pyproject.toml
	@echo "Installing $$(grep -c '^[a-z].*==' $(LOCK)) locked packages into .venv/"
	@[ -x $(BIN)/python ] || $(UV) venv --quiet --python "$$($(PYTHON) -c 'import sys; print(sys.executable)')" .venv
	@$(UV) pip sync --quiet --python $(BIN)/python $(LOCK)
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --editable .
	@touch $@

# torch's builds differ by machine, so no lock holds its digest; pip finds the one for processors where the index has it.
# Hummingbird is installed without what it asks for: its pins exclude today's onnx.
.venv-torch/.synced: $(UV_STAMP) $(LOCK) $(TORCH_LOCK) pyproject.toml
	@echo "Installing $(TORCH) and Hummingbird beside the locked packages into $(@D)/"
	@[ -x $(@D)/bin/python ] || $(UV) venv --quiet --python "$$($(PYTHON) -c 'import sys; print(sys.executable)')" $(@D)
	@$(UV) pip sync --quiet --python $(@D)/bin/python $(LOCK)
	@.tools/bin/python -m pip --python $(@D)/bin/python install --quiet --disable-pip-version-check $(TORCH)
	@$(UV) pip install --quiet --python $(@D)/bin/python --no-deps --require-hashes -r $(TORCH_LOCK)
	@$(UV) pip install --quiet --python $(@D)/bin/python --no-deps --editable .
	@touch $@

.venv-%/.synced: requirements/peers-%.lock $(UV_STAMP)
	@echo "Installing $$(grep -c '^[a-z].*==' $<) locked packages into $(@D)/"
	@[ -x $(@D)/bin/python ] || $(UV) venv --quiet --python "$$($(PYTHON) -c 'import sys; print(sys.executable)')" $(@D)
	@$(UV) pip sync --quiet --python $(@D)/bin/python $<
	@touch $@

$(CLIENTS_STAMP): $(UV_STAMP) $(CLIENTS_LOCK)
	@echo "Installing $$(grep -c '^[a-z].*==' $(CLIENTS_LOCK)) locked packages into .venv-clients/"
	@[ -x .venv-clients/bin/python ] || $(UV) venv --quiet --python "$$($(PYTHON) -c 'import sys; print(sys.executable)')" .venv-clients
	@$(UV) pip sync --quiet --python .venv-clients/bin/python $(CLIENTS_LOCK)
	@touch $@
