# make demo         everything from nothing: environment, real data, trained model, audience, service
# make test         the whole test suite
# make check        the static part: lint, format, types, floors, generated pages
# make wheel-test   build the wheel, install it into a clean environment, test it there
# make bench        one JSON line a stage
# make clean        remove environments and build products; workspaces stay

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.PHONY: demo test check docs wheel wheel-test bench clean

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip
# numba compiles for tens of seconds when it is first used: at install, not in someone's first run
WARM := $(BIN)/python -c 'from cluster.warm import warm_up; warm_up()'
DEMO_ARGS ?=
TEST_ARGS ?=
WHEEL_VENV := .venv-wheel
# what shows that the packaged thing is whole: its files, every module, the console script, shipped recipes, migrations,
# a whole line, commands and service. How they compute is tested above, on the same files.
WHEEL_TESTS := wheel cli_help cli_use cli_demo pipeline_recipe golden_workspace serve_http_read
# the first Python that is new enough and can make environments; `make PYTHON=/path/to/python3.12` takes another
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3 python; do \
	"$$p" -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && { echo "$$p"; break; }; done)

demo: $(VENV)/.demo
	$(BIN)/kinfolk demo $(DEMO_ARGS)

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2 --dist loadgroup $(TEST_ARGS)

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python docs/generate.py --check

docs: $(VENV)/.dev
	$(BIN)/python docs/generate.py

wheel: $(VENV)/.dev
	rm -rf dist
	$(BIN)/python -m build --wheel --no-isolation --outdir dist .

# The wheel alone is installed; third-party packages are seen through a .pth file. A .pth file inside a folder that is
# added this way is not read, so that the editable install of the other environment stays out of sight.
wheel-test: wheel
	rm -rf $(WHEEL_VENV)
	$(BIN)/python -m venv $(WHEEL_VENV)
	$(WHEEL_VENV)/bin/python -m pip install --quiet --no-deps --no-index dist/kinfolk-*.whl
	site=$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))'); \
	wheel_site=$$($(WHEEL_VENV)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))'); \
	echo "$$site" > "$$wheel_site/third_party.pth"
	mkdir -p $(WHEEL_VENV)/elsewhere
	root=$$PWD; cd $(WHEEL_VENV)/elsewhere; export PYTHONSAFEPATH=1; \
	../bin/python -c "import configs, pathlib; assert pathlib.Path(configs.__file__).is_relative_to('$$root/$(WHEEL_VENV)'), configs.__file__"; \
	../bin/python -m pytest -c "$$root/pyproject.toml" --rootdir "$$root" -n 2 --dist loadgroup -p no:cacheprovider $(WHEEL_TESTS:%="$$root/tests/test_%.py") $(TEST_ARGS)

bench: $(VENV)/.dev
	for stage in bench/*.py; do \
		name=$$(basename "$$stage" .py); \
		case "$$name" in __init__|measure|peers|bank|vectors|vectors_of|yardstick|probes|quality|bank_judge|bank_nights|clusterers|keepers|nights|worlds|registry|night_plot|alerts|changes|segments_peers|segments_bank) continue ;; esac; \
		$(BIN)/python -m "bench.$$name"; \
	done

clean:
	rm -rf $(VENV) $(WHEEL_VENV) dist build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# torch goes first and alone, so that pip takes the one build that is pinned
$(VENV)/.torch: constraints.txt
	@if [ ! -x $(BIN)/python ]; then \
		if [ -z "$(PYTHON)" ]; then \
			echo "make: no Python 3.11 or newer that has venv and ensurepip was found; install one (on Debian: python3.11 and python3.11-venv), or give its path: make PYTHON=/path/to/python3.11" >&2; exit 1; \
		fi; \
		"$(PYTHON)" -m venv $(VENV); \
	fi
	$(PIP) install -c constraints.txt torch
	touch $@

$(VENV)/.demo: $(VENV)/.torch pyproject.toml
	$(PIP) install -c constraints.txt -e '.[demo]'
	$(WARM)
	touch $@

$(VENV)/.dev: $(VENV)/.torch pyproject.toml
	$(PIP) install -c constraints.txt -e '.[demo,dev]'
	$(WARM)
	touch $@ $(VENV)/.demo
