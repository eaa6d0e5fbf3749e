# make demo | make test | make bench | make build
# Each target installs what it needs by apt-get, by name, and says so.

TARGET ?= $(shell rustc -vV | sed -n 's/^host: //p')
CHECKS := $(patsubst checks-manifest/%.toml,%,$(wildcard checks-manifest/*.toml))
LAB_TOOLS := ovs-vswitchd:openvswitch-switch ovsdb-server:openvswitch-switch ip:iproute2 \
	nsenter:util-linux setpriv:util-linux perl:perl-base pgrep:procps strace:strace file:file
export RUSTFLAGS ?= -C target-feature=+crt-static

.PHONY: build demo test lint unit lab bench clean

## static, stripped binaries in dist/bin
build:
	cargo build --release --target $(TARGET) $(addprefix --bin ,$(CHECKS))
	mkdir -p dist/bin
	for check in $(CHECKS); do install -m 755 target/$(TARGET)/release/$$check dist/bin/; done

## real verdicts on a real Open vSwitch, in a table
demo: build
	tests/lab/need $(LAB_TOOLS)
	tests/lab/demo

## everything: format, lints, unit tests, the lab (needs root)
test: lint unit lab

lint:
	cargo fmt --check
	cargo clippy --target $(TARGET) --all-targets -- -D warnings

unit:
	cargo test --target $(TARGET) --lib

lab: build
	tests/lab/need $(LAB_TOOLS)
	cargo test --target $(TARGET) --test lab --test contract --test vpp --test product

## cost against an empty static program, as ratios
bench: build
	tests/lab/need $(LAB_TOOLS)
	benches/run

clean:
	cargo clean
	rm -rf dist
