# What people type. Each target installs what this machine lacks (integration/servers/setup.sh) and says so.
#
# One optimized profile, `release`, serves every target, so that a dependency is built once.

CARGO ?= cargo
SETUP := integration/servers/setup.sh

.DEFAULT_GOAL := help
.PHONY: help build test lint bench

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /make \1\t/p' $(MAKEFILE_LIST) | expand -t 14

build: ## the binary: target/release/tapline
	@$(SETUP) build
	$(CARGO) build --release

test: ## what must hold at every change: unit, property and integration tests, on real servers
	@$(SETUP) test
	$(CARGO) test --release --workspace --no-fail-fast

lint: ## formatting, clippy, the documentation's links
	@$(SETUP) build
	$(CARGO) fmt --all --check
	$(CARGO) clippy --release --workspace --all-targets -- -D warnings
	$(CARGO) clippy --release --test bench -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --release --workspace --no-deps

bench: ## the benchmark table; ONLY=name[,name], ROWS=2000000, RUNS=3, GIGABYTES=5, PEERS=1 with Debezium beside it
	@$(SETUP) $(if $(PEERS),peers,test)
	$(CARGO) test --release --test bench
