# Everything that a newcomer needs: make demo, make test.
PYTHON ?= python3
BIN := .venv/bin
IN ?=

# the work is in many small pieces: threads inside the algebra only get into each other's way
export OMP_NUM_THREADS ?= 1
export OPENBLAS_NUM_THREADS ?= 1
DATA ?=

.PHONY: demo test check bench docs clean

.venv/run: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "wavemend needs Python 3.11 or newer; try make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	@touch $@

.venv/dev: .venv/run
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,train]'
	@touch $@

# Restore a recording: one that is synthesised and aged here, or any of yours with IN=FILE.
demo: .venv/run
	@mkdir -p demo
ifeq ($(IN),)
	$(BIN)/python examples/make_piece.py demo
	$(BIN)/wavemend restore demo/aged.wav -o demo/restored.wav --residual demo/removed.wav --report demo/report
	$(BIN)/wavemend compare demo/clean.wav demo/aged.wav demo/restored.wav
else
	$(BIN)/wavemend restore '$(IN)' -o 'demo/$(basename $(notdir $(IN))).restored.wav' --residual demo/removed.wav --report demo/report
endif
	@echo 'Open demo/report/report.html in a browser.'

test: .venv/dev
	$(BIN)/python -m pytest

check: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/test_rooms.py tests/test_docs.py

# make bench DATA=FOLDER measures on a corpus; without it, on pieces that are synthesised here.
bench: .venv/dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[bench]'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r bench/peers/files.txt
	$(BIN)/python -m bench $(if $(DATA),--data '$(DATA)')

# The pages that are made from the declarations, and the pictures.
docs: .venv/dev
	$(BIN)/python docs/generate.py

clean:
	rm -rf .venv demo bench/cache
