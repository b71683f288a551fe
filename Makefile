# What people type. Each target installs what this machine lacks (integration/servers/setup.sh) and says so.
#
# One optimized profile, `release`, serves every target, so that a dependency is built once.

CARGO ?= cargo
SETUP := integration/servers/setup.sh

.DEFAULT_GOAL := help
.PHONY: help demo build test docs soak golden lint bench

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /make \1\t/p' $(MAKEFILE_LIST) | expand -t 14

demo: ## a real pipeline in a minute or two: a database, the worker, a second database, a file; compared row by row; DB=postgres|mysql|mariadb
	@$(SETUP) demo
	$(CARGO) build --release
	$(CARGO) test --release -q --test demo

build: ## the binary: target/release/tapline
	@$(SETUP) build
	$(CARGO) build --release

test: ## what must hold at every change: unit, property and integration tests, on real servers
	@$(SETUP) test
	$(CARGO) test --release --workspace --no-fail-fast

docs: build ## docs/reference, from the plugins' declarations
	target/release/tapline plugins --markdown docs/reference

soak: ## the long tests: 40 kills during 400,000 changes with either broker (SEED=n repeats one); swaps with Kafka Connect; random tables
	@$(SETUP) peers
	$(CARGO) test --release --test soak -- --nocapture --test-threads 1

golden: ## Debezium's recorded events, replayed; TARGET=pg15|pg18|mysql|mariadb, FIXTURES=folder, ONLY=fixture[/variant]
	@$(SETUP) demo
	$(CARGO) build --release
	$(CARGO) test --release -q --test golden

lint: ## formatting, clippy, the documentation's links
	@$(SETUP) build
	$(CARGO) fmt --all --check
	$(CARGO) clippy --release --workspace --all-targets -- -D warnings
	$(CARGO) clippy --release --test bench --test demo --test golden --test soak -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --release --workspace --no-deps

bench: ## the benchmark table; ONLY=name[,name], ROWS=2000000, RUNS=3, GIGABYTES=5, PEERS=1 with Debezium beside it
	@$(SETUP) $(if $(PEERS),peers,test)
	$(CARGO) test --release --test bench
