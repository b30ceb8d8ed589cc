# `make` lists the targets. `make demo` and `make test` need nothing but root, git and make on a fresh Debian.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:

VENV := .venv
BIN := $(VENV)/bin
COLLECTION := $(VENV)/collections/ansible_collections/mini/containers
CONTROLLER := $(VENV)/.controller
TOOLS := $(VENV)/.tools
export PATH := $(CURDIR)/$(BIN):$(PATH)
export ANSIBLE_CONFIG := $(CURDIR)/ansible.cfg
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# The distribution's Python when it is new enough for the controller, any newer one otherwise.
PYTHON ?= $(shell for candidate in /usr/bin/python3 python3 python3.13 python3.12 python3.11; do \
	$$candidate -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$candidate; break; }; done)

CONTROLLER_PACKAGES := python3 python3-venv
# The host's own share (iptables, pyroute2 …) is also what the role mini_host installs; a test must not depend on that.
TEST_PACKAGES := $(CONTROLLER_PACKAGES) apache2-utils busybox-static conntrack debian-archive-keyring docker-registry dpkg \
	iproute2 iptables libseccomp2 linux-libc-dev mmdebstrap nftables openssl procps python3-pyroute2 skopeo tini umoci xz-utils zstd
# Engines that drive our runtime in tests/kernel/oci; a host that is somebody's workstation may not want a Docker daemon.
CLIENT_PACKAGES := buildah docker.io podman runc
# Its sshd is started by the tests, in namespaces of their own.
HOSTS_PACKAGES := openssh-client openssh-server
VM_PACKAGES := debian-archive-keyring e2fsprogs mmdebstrap openssh-client qemu-system-x86 qemu-utils
PYENV_VERSIONS := $(HOME)/.pyenv/versions
UNIT_PYTHONS := 3.9 3.10 3.11 3.12 3.13

.PHONY: help
help:  ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 22

.PHONY: demo
demo: controller  ## put a small site on this host: playbooks/site.yml
	ansible-playbook playbooks/site.yml

.PHONY: test
test: system clients lint check test-hosts beside-vm  ## everything CI runs

.PHONY: lint
lint: tools  ## ruff, mypy, yamllint, ansible-lint
	ruff check .
	ruff format --check .
	mypy
	yamllint --strict .
	ansible-lint

.PHONY: check
check: system tools  ## unit and kernel tests in one run; what fails there is tried once more by itself
	pytest tests/unit tests/kernel || pytest --last-failed --last-failed-no-failures none tests/unit tests/kernel

.PHONY: unit
unit: tools  ## tests that need no root
	pytest tests/unit

.PHONY: kernel
kernel: system tools  ## tests on the running kernel, as root, in namespaces of their own
	pytest tests/kernel

.PHONY: unit-pythons
unit-pythons: tools  ## the unit tests on each Python of a managed host that pyenv has
	for version in $(UNIT_PYTHONS); do \
		python=$$(ls -d $(PYENV_VERSIONS)/$$version.*/bin/python 2>/dev/null | sort -V | tail -n 1); \
		if [ -z "$$python" ]; then echo "python $$version: not here"; continue; fi; \
		echo "python $$version"; \
		tests/unit_venv "$$python" ".venv-$$version" $(VENV); \
		".venv-$$version/bin/python" -m pytest -q -p no:cacheprovider tests/unit; \
	done

.PHONY: molecule
molecule: system tools  ## the roles on real containers, and on three hosts: converge, idempotence, verify, destroy
	@$(call install,$(HOSTS_PACKAGES))
	cd extensions && molecule test --all

.PHONY: test-hosts
test-hosts: system tools  ## several hosts on this machine, over ssh: the roles, networks over hosts, partitions, updates
	@$(call install,$(HOSTS_PACKAGES))
	pytest -q tests/integration || pytest -q --last-failed --last-failed-no-failures none tests/integration

.PHONY: test-vm
test-vm: tools  ## the site on a stock Debian 12 in a virtual machine: cgroup v2, systemd, a power cut
	@$(call install,$(VM_PACKAGES))
	pytest -q -x tests/vm || pytest -q -x tests/vm

# The guest has a kernel of its own: other tests are none of its business.
.PHONY: beside-vm
beside-vm: tools
	@$(call install,$(HOSTS_PACKAGES) $(VM_PACKAGES))
	log=$$(mktemp); trap 'rm -f "$$log"' EXIT; failed=0; \
	$(MAKE) test-vm >"$$log" 2>&1 & guest=$$!; \
	$(MAKE) unit-pythons molecule || failed=1; \
	wait $$guest || failed=1; \
	cat "$$log"; exit $$failed

.PHONY: bench
bench: system tools  ## our times beside those of the engines that are installed
	python benchmarks

.PHONY: scaling
scaling: system tools  ## what a network over many hosts costs a host, and a play its controller: docs/scaling.md
	@$(call install,$(HOSTS_PACKAGES))
	python benchmarks/scaling.py

# Always made anew: it takes a second, and its sources are many.
.PHONY: runtime
runtime:  ## build/mini-oci, the OCI runtime as a command
	$(if $(wildcard /usr/bin/python3),/usr/bin/python3,python3) tools/make_runtime.py build/mini-oci

.PHONY: system
system:  ## the distribution's packages that the tests use (Debian)
	@$(call install,$(TEST_PACKAGES))

.PHONY: clients
clients:  ## podman and docker, for the tests that give them our runtime
	@$(call install,$(CLIENT_PACKAGES))

.PHONY: controller
controller: $(CONTROLLER) $(COLLECTION)  ## .venv with ansible-core

.PHONY: tools
tools: controller $(TOOLS)  ## .venv with the test tools, too

.PHONY: clean
clean:  ## remove .venv and every cache; containers stay
	rm -rf build $(VENV) .venv-* .ansible .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/bin/python:
	@if [ -z "$(PYTHON)" ] || ! $(PYTHON) -c 'import ensurepip' 2>/dev/null; then $(call install,$(CONTROLLER_PACKAGES)); fi
	python=$(PYTHON); $${python:-/usr/bin/python3} -m venv $(VENV)

$(CONTROLLER): requirements/controller.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet -r $<
	touch $@

$(TOOLS): requirements/test.txt $(CONTROLLER)
	$(BIN)/python -m pip install --quiet -r $<
	touch $@

$(COLLECTION): | $(VENV)/bin/python
	mkdir -p $(@D)
	ln -sfn ../../../.. $@

# $(call install,packages): those that are not there yet; the network is asked only when one is missing.
define install
missing=; \
if ! command -v dpkg-query >/dev/null; then echo "not a Debian: please see to these yourself: $(1)"; exit 0; fi; \
for package in $(1); do \
	[ "$$(dpkg-query -W -f '$${db:Status-Status}' "$$package" 2>/dev/null)" = installed ] || missing="$$missing $$package"; \
done; \
if [ -n "$$missing" ]; then \
	apt-get -q update; \
	DEBIAN_FRONTEND=noninteractive apt-get -qy install --no-install-recommends $$missing; \
fi
endef
