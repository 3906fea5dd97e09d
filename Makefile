# Two commands do all the set-up: `make demo` runs the product against simulated meters, `make test` runs the tests.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := -m pip install --quiet --disable-pip-version-check --no-input --require-hashes
SOAK_MINUTES ?= 60

ARCH  ?= $(shell dpkg --print-architecture 2>/dev/null)
SUITE ?= bookworm trixie

.DEFAULT_GOAL := help
.PHONY: help demo install uninstall deb prove-city prove-package test lint format bench soak pages screenshots mutants lock docs translations clean

help: ## Say what there is
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# The environments: .venv with everything a demo needs; the tests add theirs to it. A stamp names what was installed.
$(VENV)/.demo: requirements/demo.lock pyproject.toml
	@echo "Making the environment $(VENV) (a minute or two the first time) …"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { echo "No virtual environment could be made: apt install python3-venv"; exit 1; }
	@$(BIN)/python $(PIP) -r requirements/demo.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@$(BIN)/python -m compileall -q gateway
	@touch $@

$(VENV)/.dev: requirements/dev.lock $(VENV)/.demo
	@echo "Adding the tools for tests to $(VENV) …"
	@$(BIN)/python $(PIP) -r requirements/dev.lock
	@touch $@

demo: $(VENV)/.demo ## Run the whole product against simulated meters (SECONDS=40: a self-check that ends by itself)
	@$(BIN)/submeter demo $(if $(SECONDS),--seconds $(SECONDS))

install: $(VENV)/.demo ## Install the gateway on this machine (as root: sudo make install)
	@[ "$$(id -u)" = 0 ] || { echo "Run it as root: sudo make install"; exit 1; }
	@. /etc/os-release; $(MAKE) --no-print-directory deb SUITE="$${VERSION_CODENAME:-}" && \
	  apt-get install -y --no-install-recommends --reinstall --allow-downgrades ./dist/submeter-gateway_*+deb$${VERSION_ID}_$(ARCH).deb

uninstall: ## Remove it again, keeping configuration and readings (as root; PURGE=1 removes these too)
	@[ "$$(id -u)" = 0 ] || { echo "Run it as root: sudo make uninstall"; exit 1; }
	@apt-get $(if $(PURGE),purge,remove) -y submeter-gateway

deb: $(VENV)/.demo ## Make the Debian packages in dist/ (SUITE="bookworm trixie", ARCH="amd64 arm64 armhf"; default: this machine's)
	@rm -f dist/submeter-gateway_*.deb
	@PYTHONPATH=packaging:. $(BIN)/python -m deb $(SUITE:%=--suite %) $(ARCH:%=--arch %)

prove-package: $(VENV)/.dev ## Install the packages into fresh Debian trees and boot them (as root, an hour or two); written to docs/proofs.md
	@tests/tools.sh package
	@PYTHONPATH=packaging:. $(BIN)/python -m tests.package

test: $(VENV)/.dev ## Install what the tests need and run them, on Python 3.11 and 3.13 where both are installed
	@tests/tools.sh
	@tests/run.sh

lint: $(VENV)/.dev ## Check style and types; say which proof is out of date, and which library has a known fault
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/python -m tests.proofs
	@$(BIN)/python -m tests.audit

format: $(VENV)/.dev ## Bring the code into shape
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: $(VENV)/.dev ## Measure every figure that docs/performance.md gives, beside its bar
	@tests/tools.sh bench
	@$(BIN)/python -m compileall -q gateway
	@$(BIN)/python -m tests.bench

soak: $(VENV)/.dev ## Faults for SOAK_MINUTES (default 60), judged by the simulator's log; written to docs/proofs.md
	@tests/tools.sh
	@SOAK_MINUTES=$(SOAK_MINUTES) $(BIN)/python -m tests.soak

prove-city: $(VENV)/.dev ## A city of 3 000 gateways, blows, a cluster of brokers (an hour, CITY_BLOWS=200); written to docs/proofs.md
	@tests/tools.sh soak
	@$(BIN)/python -m compileall -q gateway
	@$(BIN)/python -m tests.city $(CITY)

pages: $(VENV)/.dev ## Every page in every state, language and colour, in a browser, with axe-core; minutes; written to docs/proofs.md
	@tests/tools.sh
	@$(BIN)/python -m tests.pages

screenshots: $(VENV)/.dev ## Make the pictures of the README anew, from the running demo
	@tests/tools.sh
	@$(BIN)/python -m tests.screenshots

mutants: $(VENV)/.dev ## Small changes of the code, each of which a test should notice; hours; written to docs/proofs.md and docs/mutants.md
	@tests/tools.sh
	@nice -n 15 $(BIN)/python -m tests.mutants $(MUTANTS)

docs: $(VENV)/.dev ## Make the generated pages anew: the list of meters, the schemas of wire and API, the AsyncAPI document, who may import whom
	@$(BIN)/submeter drivers list --markdown > docs/meters.md
	@$(BIN)/python -m gateway.wire docs/wire
	@$(BIN)/python -m tests.openapi
	@$(BIN)/python -m tests.test_architecture

translations: $(VENV)/.dev ## Collect the texts of page and commands and compile what is translated
	@mkdir -p build
	@PYTHONPATH=. $(BIN)/pybabel -q extract -F gateway/status/locale/babel.cfg --no-location --no-wrap --sort-output -o build/submeter.pot gateway
	@$(BIN)/pybabel -q update -D submeter -d gateway/status/locale -l tr -i build/submeter.pot --no-wrap --no-fuzzy-matching --ignore-obsolete
	@sed -i '/^"POT-Creation-Date:/d' gateway/status/locale/tr/LC_MESSAGES/submeter.po
	@$(BIN)/pybabel -q compile -D submeter -d gateway/status/locale -l tr

lock: ## Lock the dependencies anew (needs uv)
	@for kind in "dev pyproject.toml --extra demo --extra receiver --extra postgres --extra build --extra dev" \
	  "demo pyproject.toml --extra demo --extra receiver --extra build" "runtime pyproject.toml --group package" "sdists --group sdists"; do \
	  set -- $$kind; name=$$1; shift; \
	  uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links \
	    $$( [ $$name = dev ] || echo "-c requirements/dev.lock" ) "$$@" -o requirements/$$name.lock; done

clean: ## Remove what was made
	rm -rf $(VENV) .venv-* build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
