# make run: set everything up and train the main job. make test: set everything up and pass the tests.
# make reproduce: run the paper's studies in small and judge its claims.
PYTHON ?= python3
BIN := .venv/bin
# A process a core, each with one thread: threads that wait for one another are slower than tests side by side.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto -q

.PHONY: install run test test-all test-gpu browser reproduce docs lint lock clean

install: .venv/installed

.venv/installed: requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --requirement requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

run: install  ## ARGS="KEY=VALUE …" changes settings
	$(BIN)/python train.py model=cnn init=orthogonal $(ARGS)

test: install  ## what needs Python only, in a few minutes
	$(PYTEST) -m "not slow and not gpu" $(PYTEST_ARGS)
	@echo "Left out: what takes minutes or needs a SLURM; make test-all runs it."

test-all: test browser  ## and what is slow; as root on Debian, where it installs Chromium and starts a SLURM
	$(PYTEST) -m "slow and not slurm and not gpu" $(PYTEST_ARGS)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -m slurm $(PYTEST_ARGS)  # in one process: they share the SLURM

test-gpu: install  ## on a machine with a GPU, whose PyTorch sees it (PyPI's does; the lock takes any build)
	@$(BIN)/python -c "import torch; torch.cuda.is_available() or exit('make test-gpu: PyTorch sees no GPU here')"
	$(PYTEST) -m gpu $(PYTEST_ARGS)

browser:  ## Chromium, which the tests of the report look at its page with; as root, from Debian's packages
	command -v chromium > /dev/null || (apt-get update -qq && apt-get install -qq -y --no-install-recommends chromium)

reproduce: install  ## every study of the paper, small; DATA=DIR takes CIFAR-10 from DIR, STUDIES="…" only these
	$(BIN)/python -m orthontk.reproduce $(if $(DATA),--data $(DATA)) $(if $(STUDIES),--studies $(STUDIES))

docs: install  ## docs/_build/html/index.html
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html

lint: install
	$(BIN)/ruff check
	$(BIN)/ruff format --check

lock: install  ## write requirements.lock anew from pyproject.toml, keeping what still fits
	$(BIN)/pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip compile --quiet --extra dev --python-version 3.11 --no-header --no-annotate --no-emit-find-links \
		--no-emit-index-url --output-file requirements.lock pyproject.toml
	sed -i 's/^\(torch==[0-9.]*\)+.*/\1/' requirements.lock  # any build of this version will do, the CPU's too
	sed -i '/^nvidia-/d; /^cuda-/d; /^triton==/d' requirements.lock

clean:
	rm -rf .venv outputs
