# make demo and make test set themselves up: all they need is Python 3.11 or newer.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: demo test test-data docs lint types bench report-bench latency latency-studies heavy storm scale dask-bench external hebo clean

# A range that admits PyTorch 2.13 and nothing newer comes from constraints.txt.
$(INSTALLED): pyproject.toml model/pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed; set PYTHON=...") if sys.version_info < (3, 11) else None'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ./model -e ".[dev]"
	touch $@

demo: $(INSTALLED)
	$(BIN)/optibench run demo --out runs/demo

# A test that hangs fails by its name, or shows where it hangs if it is in foreign code.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder \
	--timeout=600 --timeout-method=signal -o faulthandler_timeout=900

test: $(INSTALLED) lint types
	$(PYTEST) -m "not heavy" tests

# The tests that need data sets (`optibench data fetch`), those whose data are missing left out.
test-data: $(INSTALLED)
	$(PYTEST) -m "data and not heavy" tests

# The documentation into site/; runs the notebooks. Open site/index.html: no server is needed.
docs: $(INSTALLED)
	NO_MKDOCS_2_WARNING=1 OMP_NUM_THREADS=1 $(BIN)/python -m mkdocs build --strict

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(INSTALLED)
	$(BIN)/mypy

# Long checks: trainings, kill storms, large grids.
heavy: $(INSTALLED)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m heavy tests

# A grid of 324 cells under fire: killed workers and coordinators, hangs, crashes, survivors, full disks, cut files. Prints its seed.
storm: $(INSTALLED)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -s -m storm tests/harness/executors/test_storm.py

# What 1,000, 10,000 and 100,000 trivial cells cost; docs/explanation/scale.md.
SIZES ?= 1000 10000 100000
scale: $(INSTALLED)
	OMP_NUM_THREADS=1 $(BIN)/python tests/harness/runs/scale.py $(SIZES)

# Dask with two workers on this machine against two worker processes; docs/how-to/dask.md.
dask-bench: $(INSTALLED)
	OMP_NUM_THREADS=1 $(BIN)/python tests/harness/executors/dask_speed.py

# Speed, as ratios in one run.
bench: $(INSTALLED)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --benchmark-only --benchmark-columns=median,mean,stddev,rounds \
		--ignore=tests/optimizers/test_latency.py tests

# What a report of 2,000,000 trials costs: seconds, memory, the size of its page and when a browser can use it.
report-bench: $(INSTALLED)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m heavy -s tests/reports/test_scale.py

ONE_THREAD := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1

# What a suggestion of every optimizer costs, in about half an hour; docs/how-to/latency.md. ARGS='-k "random or tpe"' for some,
# which leaves out the Optuna studies.
ARGS ?=
latency: $(INSTALLED)
	mkdir -p runs
	$(ONE_THREAD) $(BIN)/python -m pytest --benchmark-only -rs \
		--benchmark-columns=median,mean,max,rounds --benchmark-json=runs/latency.json \
		--benchmark-save=latency --benchmark-save-data tests/optimizers/test_latency.py $(ARGS)
	$(BIN)/optibench latency runs/latency.json --out runs/latency
	$(if $(strip $(ARGS)),,$(MAKE) latency-studies)

# The same of OptiFormerSampler, TPE and Optuna's GP in Optuna studies. STUDIES='--past 10 100 --dimensions 7' for some.
STUDIES ?=
latency-studies: $(INSTALLED)
	$(ONE_THREAD) $(BIN)/python tests/optimizers/study_latency.py --out runs/latency-studies.json $(STUDIES)
	$(BIN)/optibench latency runs/latency-studies.json --out runs/latency-studies

# Workers in environments of their own (docs/how-to/external.md): YAHPO Gym 1.0.2 against our adapter, and HEBO's environment.
WORKERS := examples/external/venvs
$(WORKERS)/yahpo/.installed:
	$(PYTHON) -m venv $(WORKERS)/yahpo
	$(WORKERS)/yahpo/bin/python -m pip install --quiet --disable-pip-version-check yahpo-gym==1.0.2
	touch $@

$(WORKERS)/hebo/.installed: examples/external/hebo-requirements.txt
	$(PYTHON) -m venv $(WORKERS)/hebo
	$(WORKERS)/hebo/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	touch $@

external: $(INSTALLED) $(WORKERS)/yahpo/.installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/harness/external/test_workers_of_examples.py

hebo: $(WORKERS)/hebo/.installed

clean:
	rm -rf $(VENV) site .mypy_cache .ruff_cache .pytest_cache .hypothesis
