# Datenraum: the commands of this project. `make help` lists them.
# A C compiler and cargo are enough; `make setup` installs or names what is missing.

SHELL       := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
CARGO       ?= cargo
TOOLS       := target/tools
DENY        := $(TOOLS)/bin/cargo-deny
DENY_VERSION := 0.20.2
# All members are always selected together: then they share one build of DataFusion.
ALL         := --workspace --locked

.PHONY: help setup demo build test fmt lint unit clients doc deny advisories bench

help: ## list the commands
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: ## install or name what is missing
	@scripts/setup.sh

build: setup ## build the program, quickly compiled (7 to 11 minutes the first time on two cores)
	@scripts/step.sh "building the program (7 to 11 minutes the first time on two cores)" \
		$(CARGO) build $(ALL) --bin datenraum

demo: build ## a whole data space on real data, with a guided tour
	@target/debug/datenraum demo

test: setup fmt lint unit clients doc ## everything that CI checks but `make deny`
	@echo "all checks passed"

fmt: ## formatting
	@scripts/step.sh "checking the formatting" $(CARGO) fmt --all --check

lint: ## clippy, warnings denied
	@scripts/step.sh "linting" $(CARGO) clippy $(ALL) --all-targets -- -D warnings

unit: ## unit and integration tests
	@scripts/step.sh "running the tests" $(CARGO) test $(ALL) 2>&1 | tee target/test.log
	@awk '/^test result:/ { passed += $$4; failed += $$6 } END { printf "%d passed, %d failed\n", passed, failed }' target/test.log

clients: ## other implementations (disclosure rules, python-tuf, JSON-LD, Flight SQL clients, the notebook), against what the tests have built
	@scripts/step.sh "trying other implementations" scripts/clients.sh

doc: ## the API documentation, warnings denied
	@RUSTDOCFLAGS="-D warnings" scripts/step.sh "building the documentation" $(CARGO) doc $(ALL) --no-deps

deny: $(DENY) ## licences, sources, bans and duplicates of dependencies
	@scripts/step.sh "checking the dependencies" $(DENY) --workspace check bans licenses sources

advisories: $(DENY) ## known security advisories; needs the advisory database, which is on the internet
	@scripts/step.sh "checking the advisories" $(DENY) --workspace check advisories

$(DENY):
	@scripts/step.sh "installing cargo-deny $(DENY_VERSION) (once)" \
		$(CARGO) install cargo-deny --version $(DENY_VERSION) --locked --debug --root $(TOOLS) --target-dir target/tools-build

bench: setup ## what speed and memory claims are measured with; see docs/benchmarks.md
	@scripts/step.sh "building for release (20 to 30 minutes the first time on two cores)" \
		$(CARGO) build $(ALL) --release --bin datenraum
	@benches/sandbox.sh target/release/datenraum
	@$(CARGO) bench $(ALL) --bench gate
	@$(CARGO) bench $(ALL) --bench rows
	@$(CARGO) bench $(ALL) --bench federation
	@$(CARGO) bench $(ALL) --bench ledger
	@$(CARGO) bench $(ALL) --bench tunnels
	@target/venv/bin/python -c 'import duckdb' 2>/dev/null || python3 -m venv target/venv
	@target/venv/bin/pip install --quiet duckdb
	@target/venv/bin/python benches/ingest.py target/release/datenraum
	@target/venv/bin/python benches/larger_than_memory.py target/release/datenraum
	@$(CARGO) bench --locked -p policy --bench decide --target-dir target/bench
	@$(CARGO) bench --locked -p fhir --bench views --target-dir target/bench
