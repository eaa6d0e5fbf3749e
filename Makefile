# make demo | make test | make bench | make build
# Each target installs what it needs by apt-get, by name, and says so.

TARGET ?= $(shell rustc -vV | sed -n 's/^host: //p')
CHECKS := $(patsubst checks-manifest/%.toml,%,$(wildcard checks-manifest/*.toml))
TOOLS := calipso-doctor calipso-provision calipso-sweep
LAB_TOOLS := ovs-vswitchd:openvswitch-switch ovsdb-server:openvswitch-switch ip:iproute2 \
	nsenter:util-linux setpriv:util-linux perl:perl-base pgrep:procps strace:strace file:file \
	libvirtd:libvirt-daemon virsh:libvirt-clients \
	setcap:libcap2-bin dnsmasq:dnsmasq-base haproxy:haproxy keepalived:keepalived radvd:radvd \
	/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk:openvswitch-switch-dpdk \
	'/usr/lib/*/dpdk/pmds-*/librte_mempool_ring.so*:^librte-mempool-ring[0-9]*$$' \
	'/usr/lib/*/dpdk/pmds-*/librte_net_virtio.so*:^librte-net-virtio[0-9]*$$'
BENCH_TOOLS := ping:iputils-ping /usr/lib/nagios/plugins/check_icmp:monitoring-plugins-basic
PROVISION_TOOLS := icinga2:icinga2-bin nagios4:nagios4-core /etc/icinga2/constants.conf:icinga2-common \
	/usr/sbin/nrpe:nagios-nrpe-server /usr/lib/nagios/plugins/check_nrpe:nagios-nrpe-plugin
PAGES_TOOLS := mandoc:mandoc groff:groff-base zsh:zsh fish:fish
PACKAGE_TOOLS := dpkg-deb:dpkg rpmbuild:rpm xz:xz-utils
PACKAGE_TEST_TOOLS := debootstrap:debootstrap lintian:lintian rpmlint:rpmlint setcap:libcap2-bin \
	visudo:sudo
# Architecture of the packages, out of the target's.
PACKAGE_ARCH := $(patsubst aarch64%,arm64,$(patsubst x86_64%,amd64,$(firstword $(subst -, ,$(TARGET)))))
HOST := $(shell rustc -vV | sed -n 's/^host: //p')
EPOCH = $(shell git log -1 --format=%ct)
# CALIPSO_TEMPLATES=FILE compares with the monitoring_config_templates.json of a Calipso.
export RUSTFLAGS ?= -C target-feature=+crt-static

.PHONY: build demo test lint unit lab pages packages test-packages lab-qemu lab-kernel bench clean

## static, stripped binaries in dist/bin
build:
	cargo build --release --target $(TARGET) $(addprefix --bin ,$(CHECKS) $(TOOLS))
	mkdir -p dist/bin
	for binary in $(CHECKS) $(TOOLS); do install -m 755 target/$(TARGET)/release/$$binary dist/bin/; done

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
	tests/lab/need $(LAB_TOOLS) $(PROVISION_TOOLS) $(PAGES_TOOLS)
	cargo test --target $(TARGET) --test '*'
	$(if $(CALIPSO_TEMPLATES),CALIPSO_TEMPLATES=$(abspath $(CALIPSO_TEMPLATES)) \
		cargo test --target $(TARGET) --test provision -- --ignored)

## writes docs/checks and the options in README.md again, out of clap and the manifest
pages:
	cargo run --target $(TARGET) --example pages -- docs

## deb, rpm, asset and tarball in dist/packages; TARGET, REVISION, MAINTAINER, ASSET_URL
packages: build
	tests/lab/need $(PACKAGE_TOOLS)
	rm -rf dist/pages dist/packages
	PAGES_DATE=$$(date -ud @$(EPOCH) +%F) \
		cargo run -q --target $(HOST) --example pages -- stage dist/pages
	ARCH=$(PACKAGE_ARCH) SOURCE_DATE_EPOCH=$(EPOCH) packaging/build dist/bin dist/pages dist/packages

## the packages, installed in roots of their own (needs root)
test-packages: packages
	tests/lab/need $(LAB_TOOLS) $(PACKAGE_TOOLS) $(PACKAGE_TEST_TOOLS)
	tests/packages/root
	cargo test --target $(HOST) --test packages -- --ignored

## check_vm on a guest that QEMU runs
lab-qemu: build
	tests/lab/need $(LAB_TOOLS) qemu-system-x86_64:qemu-system-x86
	cargo test --target $(TARGET) --test vm -- --ignored

## tests that need a kernel with more than most have, on a Debian kernel that QEMU runs (slow without KVM)
lab-kernel:
	tests/lab/need $(LAB_TOOLS) qemu-system-x86_64:qemu-system-x86 busybox:busybox-static depmod:kmod
	cargo test --target $(TARGET) --config 'target.$(TARGET).runner = ["tests/lab/vm", "--seconds", "1200"]' \
		--test kernel --test vconnector -- --ignored --test-threads=1

## cost against an empty static program and other programs, as ratios
bench: build
	tests/lab/need $(LAB_TOOLS) $(BENCH_TOOLS)
	benches/run

clean:
	cargo clean
	rm -rf dist
