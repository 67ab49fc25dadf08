# What one can do here. `make` alone lists it; ARGS goes to the program behind a target:
#   make test ARGS="tests/core -x"      make test PYTHON=python3.12      make bench ARGS=--quick

# Each Python that is asked for has a virtual environment of its own.
ifdef PYTHON
VENV := .venv-$(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
ifeq ($(VENV),.venv-)
$(error PYTHON=$(PYTHON) does not run; give the name or the path of a Python)
endif
export PYTHON
else
VENV := .venv
endif

PIP := $(VENV)/bin/python -m pip --disable-pip-version-check --no-input
ARGS ?=

# An environment that forbids bytecode would make every start of the daemon four times as slow.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help run test coverage hostile check check-lint check-types check-imports bench reference docs manifests audit bundle deb test-bundle clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(VENV)/.installed-run ## start cbox-init on examples/demo.yaml, in the foreground; Ctrl-C stops it
	@echo "The page:                http://127.0.0.1:9180/"
	@echo "From another terminal:   $(VENV)/bin/cbox-init list, or cbox-init tui"
	@exec $(VENV)/bin/cbox-init serve -c examples/demo.yaml $(ARGS)

test: $(VENV)/.installed-test ## run the tests, two at once for each core; ARGS="-n 0": one after another
	@.ci/packages test
	@$(VENV)/bin/python -m pytest $(if $(findstring no:xdist,$(ARGS)),,-n auto --dist worksteal) $(ARGS)

# Without the tests that run cbox-init as a program of its own or count what it costs.
coverage: $(VENV)/.installed-coverage ## which lines and branches of core, supervisor and logs no test enters
	@.ci/packages test
	@rm -f .coverage .coverage.*
	@$(VENV)/bin/python -m pytest -n auto --dist worksteal --cov --cov-report= $(ARGS) \
	  --deselect tests/logs/test_block_cost.py \
	  tests/api tests/config tests/core tests/logs tests/metrics tests/supervisor tests/system tests/telemetry; \
	status=$$?; $(VENV)/bin/python .ci/coverage_table.py && exit $$status

hostile: $(VENV)/.installed-hostile ## attack daemons on this machine, which should be idle; ARGS="--seconds 600"
	@$(VENV)/bin/python -m pytest -m hypothesis --hypothesis-profile=default -n auto
	@exec $(VENV)/bin/python -m tests.hostile $(ARGS)

# `make -j2 check` does two of these at once.
check: check-types check-lint check-imports ## lint, formatting, types, the direction of imports, and that none go in a circle

check-lint: $(VENV)/.installed-check
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check

check-types: $(VENV)/.installed-check
	$(VENV)/bin/mypy

check-imports: $(VENV)/.installed-check
	$(VENV)/bin/lint-imports
	$(VENV)/bin/python .ci/circles.py src/cbox_init

bench: $(VENV)/.installed ## measure cbox-init beside its peers (see bench/README.md)
	@.ci/packages bench
	@exec $(VENV)/bin/python -m bench $(ARGS)

reference: $(VENV)/.installed ## write what the documentation has from the code: tables of keys, the JSON Schema
	@$(VENV)/bin/python .ci/reference.py

docs: $(VENV)/.installed-docs ## build the documentation into build/site; a broken link or anchor fails
	@rm -rf build/docs
	@mkdir -p build/docs/bench build/docs/assets
	@ln -s ../../README.md ../../CHANGELOG.md ../../CONTRIBUTING.md ../../SECURITY.md ../../LICENSE ../../deploy ../../docs ../../examples ../../src ../../tests ../../packaging build/docs
	@ln -s ../../../bench/README.md build/docs/bench
	@ln -s ../../../.ci/iframe-worker.js ../../../.ci/site.css build/docs/assets
	@NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build $(ARGS)

manifests: $(VENV)/.installed-test ## check deploy/ with kubectl, and with the schema of the Prometheus operator
	@$(VENV)/bin/python -m tests.deploy

audit: $(VENV)/.installed-audit ## write a bill of materials into build/audit, and look for known vulnerabilities
	@$(VENV)/bin/python .ci/audit.py $(ARGS)

# Its Python is Debian's, which is built with profiles; BUNDLE_PYTHON=… takes another that has a static library.
BUNDLE_PYTHON ?= $(or $(PYTHON),/usr/bin/python3)
MACHINE := $(shell uname -m)
# Two builds of a commit give the same archives.
export SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 1700000000)

bundle: $(VENV)/.installed ## build cbox-init for images without Python, in build/bundle and as a .tar.gz
	@.ci/packages bundle
	@rm -rf build/wheel && $(PIP) wheel --quiet --no-deps --wheel-dir build/wheel .
	@$(VENV)/bin/python packaging/bundle/build.py --python $(BUNDLE_PYTHON) --wheel build/wheel/*.whl build/bundle
	@tar --create --sort=name --mtime=@$(SOURCE_DATE_EPOCH) --owner=0 --group=0 --numeric-owner --transform=s/^bundle/cbox-init/ \
	  --directory build bundle | gzip -9n >build/cbox-init-linux-$(MACHINE).tar.gz
	@ls -l build/cbox-init-linux-$(MACHINE).tar.gz

deb: bundle ## build a Debian package of the bundle in build
	@rm -f build/cbox-init_*.deb
	@$(VENV)/bin/python packaging/deb.py build/bundle build

test-bundle: deb $(VENV)/.installed-test ## test the bundle and the package in root file systems without Python
	@BUNDLE=$(CURDIR)/build/bundle $(VENV)/bin/python -m pytest tests/bundle $(ARGS)

clean: ## remove what the targets above have made
	rm -rf .venv .venv-* build bench/work .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .coverage

# A stamp says what the virtual environment holds; a new pyproject.toml makes every stamp but .made old.
$(VENV)/.made:
	@.ci/venv $(VENV)
	@touch $@

$(VENV)/.installed: EXTRAS :=
$(VENV)/.installed-run: EXTRAS := [tui]
$(VENV)/.installed-test: EXTRAS := [test]
$(VENV)/.installed-check: EXTRAS := [check,test]
$(VENV)/.installed-coverage: EXTRAS := [coverage,test]
$(VENV)/.installed-docs: EXTRAS := [docs]
$(VENV)/.installed-hostile: EXTRAS := [hostile,test]
$(VENV)/.installed-audit: EXTRAS := [audit]
$(VENV)/.installed $(VENV)/.installed-run $(VENV)/.installed-test $(VENV)/.installed-check $(VENV)/.installed-coverage \
$(VENV)/.installed-docs $(VENV)/.installed-hostile $(VENV)/.installed-audit: pyproject.toml | $(VENV)/.made
	$(PIP) install --quiet --editable '.$(EXTRAS)'
	@touch $@ $(if $(findstring test,$(EXTRAS)),$(addprefix $(VENV)/.installed,-test -run) $(VENV)/.installed)
