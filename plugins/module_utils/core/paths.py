# SPDX-License-Identifier: GPL-3.0-or-later
"""Where everything is kept. No other file joins a state path.

::

    /var/lib/mini/                     0700, survives a reboot (`state_root`)
      image/                           an OCI image layout: oci-layout, index.json, blobs/sha256/…
      layer/<chain-id>/                unpacked layers, shared read-only lower directories
      layer/tmp/                       layers being unpacked, renamed when verified
      download/<digits>                blobs being fetched, gone on with by the next task
      volume/<name>/record.json, _data
      network/<name>/record.json, lease/<address>, lease/<container id>, free/<range>
      network/<name>/far.json          what containers of the network are called that are on other hosts
      reserve                          worth its blocks alone: room to remove something on a full disk, as in /run
      host.json                        what was changed on the host as a whole
      container/<id>/record.json, config.json, upper/, work/, rootfs/, hosts, resolv.conf, hostname, log
      name/<name>                      symbolic link to ../container/<id>; creating it reserves the name
      name/<name>~                     the container that is being replaced, until the new one runs
      build/<digest>.json              the steps of an image that was built here, each with its layer
      container/<id>/exit.json         how it ended, when it did
      runtime/<digest>/                our own code, for processes that outlive a task
      runtime/boot                     symbolic link to the code that is run at boot
      runtime/seccomp/<digest>.bpf     filters of system calls, ready for the kernel
    /run/mini/                         0700, gone at reboot, and so is every claim that something runs (`run_root`)
      container/<id>/state.json, netns, ports.json, door.<digest of code, interpreter, namespaces>
      door.<digest>                      symbolic link to one of these
      container/<id>/secret/             a tmpfs of its own
      names/<network>                    what its containers are called, as a copy that is fast to read
      port/<protocol>.<port>/<address or "any">   who publishes a port of the host
      lock/<object>
    /run/mini-code/<digest>/           the modules of one version of the collection, whatever their state root
"""

from __future__ import annotations

import os

DEFAULT_STATE_ROOT = "/var/lib/mini"
DEFAULT_RUN_ROOT = "/run/mini"
KEPT = "/run/mini-code"


class Paths:
    """The paths below one pair of roots. Two pairs never meet: tests and nested hosts use their own."""

    def __init__(self, state_root: str = DEFAULT_STATE_ROOT, run_root: str | None = None) -> None:
        self.state_root = os.path.abspath(state_root)
        self.run_root = os.path.abspath(run_root or default_run_root(self.state_root))

    # images
    @property
    def image_layout(self) -> str:
        return os.path.join(self.state_root, "image")

    @property
    def layers(self) -> str:
        return os.path.join(self.state_root, "layer")

    def layer(self, chain_id: str) -> str:
        """`chain_id` with or without its `sha256:` prefix."""
        return os.path.join(self.layers, chain_id.rpartition(":")[2])

    @property
    def builds(self) -> str:
        return os.path.join(self.state_root, "build")

    @property
    def downloads(self) -> str:
        return os.path.join(self.state_root, "download")

    # volumes
    @property
    def volumes(self) -> str:
        return os.path.join(self.state_root, "volume")

    def volume(self, name: str, *below: str) -> str:
        return os.path.join(self.volumes, name, *below)

    def volume_data(self, name: str) -> str:
        return self.volume(name, "_data")

    def volume_record(self, name: str) -> str:
        return self.volume(name, "record.json")

    # networks
    @property
    def networks(self) -> str:
        return os.path.join(self.state_root, "network")

    def network(self, name: str) -> str:
        return os.path.join(self.networks, name)

    def network_record(self, name: str) -> str:
        return os.path.join(self.network(name), "record.json")

    def far_names(self, network: str) -> str:
        return os.path.join(self.network(network), "far.json")

    def leases(self, network: str) -> str:
        return os.path.join(self.network(network), "lease")

    def free_maps(self, network: str) -> str:
        return os.path.join(self.network(network), "free")

    @property
    def host_changes(self) -> str:
        return os.path.join(self.state_root, "host.json")

    # containers
    @property
    def containers(self) -> str:
        return os.path.join(self.state_root, "container")

    def container(self, container_id: str, *below: str) -> str:
        return os.path.join(self.containers, container_id, *below)

    def container_record(self, container_id: str) -> str:
        return self.container(container_id, "record.json")

    @property
    def names(self) -> str:
        return os.path.join(self.state_root, "name")

    def name(self, name: str) -> str:
        return os.path.join(self.names, name)

    def name_aside(self, name: str) -> str:
        """No name of a container ends in `~`."""
        return self.name(name) + "~"

    def exit(self, container_id: str) -> str:
        return self.container(container_id, "exit.json")

    @property
    def reserves(self) -> tuple[str, str]:
        """On the disk, and in memory."""
        return os.path.join(self.state_root, "reserve"), os.path.join(self.run_root, "reserve")

    # our own code
    @property
    def runtimes(self) -> str:
        return os.path.join(self.state_root, "runtime")

    @property
    def boot(self) -> str:
        return os.path.join(self.runtimes, "boot")

    def seccomp_filter(self, digest: str) -> str:
        return os.path.join(self.runtimes, "seccomp", f"{digest}.bpf")

    # volatile
    @property
    def running(self) -> str:
        return os.path.join(self.run_root, "container")

    def run(self, container_id: str, *below: str) -> str:
        return os.path.join(self.running, container_id, *below)

    def netns(self, container_id: str) -> str:
        return self.run(container_id, "netns")

    def run_state(self, container_id: str) -> str:
        return self.run(container_id, "state.json")

    def published(self, container_id: str) -> str:
        return self.run(container_id, "ports.json")

    def secrets(self, container_id: str) -> str:
        return self.run(container_id, "secret")

    def names_in(self, network: str) -> str:
        return os.path.join(self.run_root, "names", network)

    @property
    def ports(self) -> str:
        return os.path.join(self.run_root, "port")

    def lock(self, kind: str, name: str) -> str:
        return os.path.join(self.run_root, "lock", f"{kind}.{name}")


def default_run_root(state_root: str) -> str:
    """`/run/mini` for the default state root; a directory of its own under `/run/mini-roots` for any other.

    What runs must be forgotten at reboot, so it cannot live below a state root on a disk.
    """
    if state_root == DEFAULT_STATE_ROOT:
        return DEFAULT_RUN_ROOT
    return "/run/mini-roots/" + state_root.strip("/").replace("-", "--").replace("/", "-")
