# Everything a newcomer needs. `make run` and `make test` set up what they need themselves.
PYTHON ?= python3
BIN := .venv/bin
PORT ?= 3000
SANDBOX_PORT ?= 8765

.PHONY: run test test-fast test-long test-medusa test-contracts lint types commits audit sbom licences coverage reference docs lock lock-upgrade bench bench-passes bench-cutover bench-load bench-pages bench-rest bench-run bench-stock bench-subscriptions bench-take-over fuzz stress week chaos chaos-deployment clean

run: .venv/installed ## set everything up and run the main job: sandbox, Dagster UI and daemon, first syncs
	$(BIN)/orders-sync up --port $(PORT) --sandbox-port $(SANDBOX_PORT)

test: .venv/installed-dev ## set everything up and pass the tests
	$(BIN)/python -m orders_sync_tests.debian_packages
	$(MAKE) -j 2 lint types
	$(BIN)/pytest -n 4 --dist loadgroup $(PYTEST_OPTIONS)

test-fast: .venv/installed-dev ## the tests that need neither a daemon nor a browser
	$(BIN)/pytest -n 4 --dist loadgroup -m "not ui and not daemon and not long"

test-long: .venv/installed-dev ## the tests that take minutes each, which the others leave out
	$(BIN)/python -m orders_sync_tests.debian_packages
	$(BIN)/pytest -n 2 --dist loadgroup -m long

test-medusa: .venv/installed-dev ## all four syncs against a real Medusa 2 server (npm, downloads some 700 MB into .medusa)
	$(BIN)/python -m orders_sync_tests.debian_packages
	$(BIN)/pytest -s orders_sync_tests/medusa

test-contracts: .venv/installed-dev ## all four syncs through Prism, which checks them against the published contracts (npm, into .prism; see CONTRIBUTING.md)
	$(BIN)/pytest -s orders_sync_tests/contracts

lint: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive orders_sync docs
	$(BIN)/zizmor --quiet --offline .github/workflows

types: .venv/installed-dev
	$(BIN)/pyright

commits: ## the subject of each commit has at most 72 characters
	@bash .ci/commits

audit: .venv/installed-dev ## compare requirements.lock with the published vulnerabilities, where pypi.org can be reached
	PATH="$(CURDIR)/$(BIN):$$PATH" bash .ci/audit

sbom: .venv/installed-dev ## write the list of all parts, with versions and hashes, as CycloneDX into build/sbom.cdx.json
	@mkdir -p build
	$(BIN)/cyclonedx-py requirements --pyproject pyproject.toml --output-reproducible --output-format JSON \
	  --output-file build/sbom.cdx.json requirements.lock

licences: .venv/installed-dev ## write the licences of the locked packages into docs/generate/licences.toml
	$(BIN)/python -m docs.generate.licences

coverage: .venv/installed-dev ## measure the coverage of test-fast, subprocesses included (settings and floor: pyproject.toml)
	$(BIN)/pytest -n 4 --dist loadgroup -m "not ui and not daemon and not long" --cov --cov-report=term:skip-covered --cov-report=xml:artifacts/coverage.xml

reference: .venv/installed-dev ## write docs/reference and the generated parts of docs/ from the code
	$(BIN)/python -m docs.generate

docs: .venv/installed-dev ## build the documentation site in build/site; outdated references and broken links fail
	$(BIN)/python -m docs.generate --check
	$(BIN)/python -m docs.generate.site
	$(BIN)/zensical build --clean --strict
	$(BIN)/python -m docs.generate.links

COMPILE := uv pip compile pyproject.toml --universal --generate-hashes --no-annotate --python-version 3.11 --custom-compile-command "make lock"
lock: ## compile the hashed locks from pyproject.toml, locked versions kept (needs uv: pip install uv)
	$(COMPILE) $(LOCK_OPTIONS) -o requirements.lock
	$(COMPILE) $(LOCK_OPTIONS) --group dev -o requirements-dev.lock

lock-upgrade: ## the same with the newest allowed versions
	$(MAKE) lock LOCK_OPTIONS=--upgrade

bench: .venv/installed-dev ## measure everything in bench/README.md
	$(BIN)/pip install --quiet -r bench/requirements.txt
	$(BIN)/python -m bench.compare

bench-passes: .venv/installed-dev ## measure a pass; CHECKOUT=<folder> compares with another checkout, side by side
	$(BIN)/python -m bench.passes $(if $(CHECKOUT),--checkout $(CHECKOUT))

bench-cutover: .venv/installed-dev ## measure V1 against V2 over a simulated week, into bench/README.md
	$(BIN)/python -m bench.cutover

ACCOUNTS ?= 50
bench-load: .venv/installed-dev ## measure ACCOUNTS=<number> accounts that are due in the same minute, and a slow marketplace, into bench/README.md
	$(BIN)/python -m bench.load --accounts $(ACCOUNTS)

bench-pages: .venv/installed-dev ## measure the operator's pages beside many orders, into bench/README.md
	$(BIN)/python -m bench.pages --write

bench-run: .venv/installed-dev ## measure what a run costs beside one of a bare Dagster project
	$(BIN)/python -m bench.run_cost

bench-rest: .venv/installed-dev ## measure what the project costs while nothing is due; CHECKOUT=<folder> compares
	$(BIN)/python -m bench.rest $(if $(CHECKOUT),--checkout $(CHECKOUT))

bench-subscriptions: .venv/installed-dev ## measure what an event costs its subscriptions, into bench/README.md
	$(BIN)/python -m bench.subscriptions --write

bench-take-over: .venv/installed-dev ## measure how V2 takes over the locks of 100,000 orders, into bench/README.md
	$(BIN)/python -m bench.take_over

bench-stock: .venv/installed-dev ## measure how events are applied to stock; CHECKOUT=<folder> compares with another checkout
	$(BIN)/python -m bench.stock $(if $(CHECKOUT),--checkout $(CHECKOUT))

SECONDS ?= 300
DAYS ?= 7
fuzz: .venv/installed-dev ## odd records and pages for all adapters, odd requests to web servers, SECONDS=<seconds> each; prints figures
	$(BIN)/python -m orders_sync_tests.fuzz --seconds $(SECONDS)
	$(BIN)/python -m orders_sync_tests.fuzz.web_requests --seconds $(SECONDS)

stress: .venv/installed-dev ## change, apply, import and correct stock at once, for SECONDS=<seconds>; prints figures
	$(BIN)/python -m orders_sync_tests.stock.stress --seconds $(SECONDS) --sku-case exact
	$(BIN)/python -m orders_sync_tests.stock.stress --seconds $(SECONDS) --sku-case ignore

week: .venv/installed-dev ## simulate acceptance over DAYS=<days>, 7 by default; prints figures
	$(BIN)/python -m orders_sync_tests.debian_packages
	$(BIN)/python -m orders_sync_tests.passes.acceptance_week --days $(DAYS)

SEQUENCES ?= 500
chaos: .venv/installed-dev ## random sequences of work and faults, SEQUENCES=<number> from SEED=<number>; into docs/reliability.md
	$(BIN)/python -m orders_sync_tests.debian_packages
	$(BIN)/python -m orders_sync_tests.faults --sequences $(SEQUENCES) $(if $(SEED),--seed $(SEED)) --write docs/reliability.md

FAULTS ?= 24
chaos-deployment: .venv/installed-dev ## faults of the processes of a whole deployment, FAULTS=<number>; into docs/reliability.md
	$(BIN)/python -m orders_sync_tests.faults --deployment-faults $(FAULTS) $(if $(SEED),--seed $(SEED)) --write docs/reliability.md

clean: ## delete the databases, the sandbox's state and the environment
	rm -rf .venv .state

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; $(PYTHON) is $$($(PYTHON) --version). Try: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv .venv

# --no-compile: Python compiles what it imports, and most of what the packages hold is never imported.
.venv/installed: requirements.lock pyproject.toml | .venv/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-compile --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

.venv/installed-dev: requirements-dev.lock .venv/installed
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-compile --require-hashes -r requirements-dev.lock
	@touch $@
