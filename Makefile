# shiftbar: every target sets up what it needs. `make help` lists them.
#
#   PYTHON=python3.12 make test     another interpreter (3.11 or later)
#   JOBS=4 make test                parallel workers (default: the number of cores)
#   NET=build/net make report       another integer network

PYTHON ?= python3
JOBS ?= $(shell nproc 2>/dev/null || echo 2)
VENV := .venv
DEMO_NET := model/zoo/psp_64_4_int8
NET ?= $(DEMO_NET)
RUN := $(VENV)/bin/python
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help setup demo report test test-all prove lint size docs bench mutate coverage fuzz clean distclean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## create .venv and install what constraints.txt pins

$(STAMP): pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "make: $(PYTHON) is missing: install Python 3.11 or later" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "make: Python 3.11 or later is needed, not $$($(PYTHON) -V); set PYTHON=python3.x" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "make: $(PYTHON) has no venv: apt install python3-venv" >&2; exit 1; }
	@command -v c++ >/dev/null || { echo "make: c++ is missing: apt install g++" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: $(STAMP) ## the shift IP; a whole trained network in RTL on real images, bit by bit; its cost
	$(RUN) -m hw.gen --fmap 16
	$(RUN) -m cosim.demo --out build/demo
	$(RUN) -m cosim.run --intnet $(DEMO_NET) --images 3 --layers --counters build/demo/counters.json
	$(RUN) -m model.cost $(DEMO_NET) --counters build/demo/counters.json --totals --html build/demo/cost.html

report: $(STAMP) ## all that is known of a network on one page, build/report.html
	$(RUN) -m scripts.report $(NET)

# A worker has a core: threads of torch and NumPy would only wait for each other.
test test-all coverage: export OMP_NUM_THREADS := 1

test: $(STAMP) ## every fast test (no GPU, no board)
	$(RUN) -m pytest -n $(JOBS) --dist worksteal

test-all: $(STAMP) ## the slow ones too
	$(RUN) -m pytest -n $(JOBS) --dist worksteal -m 'slow or not slow'

prove: $(STAMP) ## all formal proofs, each with a seeded fault that must fail
	$(RUN) -m cosim.prove --jobs $(JOBS)
	$(RUN) -m cosim.equivalence

lint: $(STAMP) ## ruff and mypy
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

size: $(STAMP) ## synthesise shift module and accelerator for Artix-7; compare with stored tables
	$(RUN) -m scripts.size

docs: $(STAMP) ## the documents as a site, build/docs/index.html; a link to nowhere fails
	$(RUN) -m scripts.site

mutate: $(STAMP) ## seed single faults in RTL and Python; a simulation, proof or test must catch each
	$(RUN) -m scripts.mutate --jobs $(JOBS)
	$(RUN) -m scripts.mutate_python --jobs $(JOBS)

coverage: $(STAMP) ## lines of Python that the fast tests run, at least 95 %; files below 90 %
	rm -rf build/coverage
	$(RUN) -m coverage run -m pytest -n $(JOBS) --dist worksteal
	$(RUN) -m coverage combine --quiet
	$(RUN) -m coverage json --quiet -o build/coverage/coverage.json
	$(RUN) -m scripts.line_coverage --least 95

fuzz: $(STAMP) ## damaged files, bytes and command lines for every reader; kills of every writer
	$(RUN) -m scripts.fuzz
	$(RUN) -m scripts.kills

bench: $(STAMP) ## forms of the shift, alone and in training; integers; to generate; to simulate
	$(RUN) -m scripts.bench_shift
	$(RUN) -m scripts.bench_train
	OMP_NUM_THREADS=1 $(RUN) -m scripts.bench_executor
	$(RUN) -m scripts.bench_gen
	$(RUN) -m scripts.bench_cosim

clean: ## remove build products
	rm -rf build

distclean: clean ## remove the environment too
	rm -rf $(VENV) *.egg-info
