#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A network for containers, converged."""

from __future__ import annotations

DOCUMENTATION = r"""
module: mini_network
short_description: Manage networks of containers
version_added: 0.1.0
description:
  - Creates, changes and removes a network for the containers of M(mini.containers.mini_container).
  - A network is a bridge with a gateway address, and rules of the packet filter in a place of their own.
    Containers reach each other and the world; nobody reaches them but through published ports.
    Networks are kept apart from each other.
  - What is missing on the host, such as a rule that was flushed, is put back by the same task.
  - Turns forwarding on, of IPv4 and with the first network that needs it of IPv6, and gives it back with the last. An
    interface that learns the host's IPv6 routes from routers goes on doing so.
options:
  name:
    description: Name of the network.
    type: str
    required: true
  state:
    description:
      - V(present) makes the network exist as described.
      - V(absent) removes it. Refused while containers are attached, unless O(force=true), with which they leave it
        first. Who is in no other network runs on, and publishes nothing until it is in one again.
    type: str
    choices: [present, absent]
    default: present
  driver:
    description:
      - How the network is made. V(bridge) is a network of this host.
      - V(vxlan) is one network over many hosts, which O(vxlan) names. Each has a bridge with a slice of the addresses,
        and routes to the slices of the others, through packets of VXLAN (UDP port 4789). They are taken from the other
        hosts alone, and are not encrypted.
    type: str
    choices: [bridge, vxlan]
    default: bridge
  subnet:
    description:
      - Subnet, such as V(10.20.30.0/24) or V(fd12:3456:789a:1::/64).
        It must not overlap a route of the host, nor another network.
      - An existing network keeps its subnets when this is left out; a new one gets a free one of each family that is
        enabled. A free IPv6 one is of a /48 that is made from the host's identity (RFC 4193).
    type: str
  gateway:
    description: Address of the host in the network. The first of the subnet, when left out.
    type: str
  enable_ipv4:
    description: Whether the network has IPv4. It has, when left out.
    type: bool
  enable_ipv6:
    description: Whether the network has IPv6. It has when an IPv6 subnet is given, or it had before.
    type: bool
  ipam_config:
    description:
      - Subnets, as M(community.docker.docker_network) takes them; several of a family are possible. Each entry is the
        whole truth of its subnet, and the entries of a family are all of its subnets.
      - Addresses that are given out by themselves come from the first subnet that has one left, and one just freed is
        given out again as late as possible. Of a subnet with more than 16 million addresses they are the first ones.
    type: list
    elements: dict
    suboptions:
      subnet:
        description: As O(subnet).
        type: str
        required: true
      iprange:
        description: The part of the subnet from which addresses are given out. All of it, when left out.
        type: str
      gateway:
        description: As O(gateway).
        type: str
      aux_addresses:
        description: Addresses, by any name, that no container gets.
        type: dict
  vxlan:
    description:
      - The hosts of a network with O(driver=vxlan), which needs O(subnet) as well. All hosts must be given the same,
        but for O(vxlan.host); a host that is added or removed is one more run on all of them.
      - The role C(mini_stack) makes it of the inventory.
    type: dict
    suboptions:
      host:
        description: What this host is called in O(vxlan.hosts).
        type: str
        required: true
      hosts:
        description:
          - The hosts by name, each with the address by which the others reach it, IPv4 or IPv6, the same for all.
          - "The last bits of that address are the number of the host's slice. Where two hosts would have the same
            number, give one of them another, as V({address: 192.0.2.7, slice: 200})."
        type: dict
        required: true
      slices:
        description: Into how many slices the subnets are divided, a power of two.
        type: int
        default: 256
      vni:
        description: Number of the network in its packets. Made from its name, when left out.
        type: int
      port:
        description: UDP port between the hosts.
        type: int
        default: 4789
  names:
    description:
      - "Of a network with O(driver=vxlan), what its containers on other hosts are called, as
        V({host: {name: address}}), so that those on this host find them by name. Several addresses are a list. This
        host's own are left out."
      - What is known of a host that is not mentioned stays.
      - A host names addresses of its own slice. What it says else is left out, with a warning.
    type: dict
  internal:
    description: Whether containers are kept from everything but each other and the host.
    type: bool
  mtu:
    description:
      - Largest packet, in bytes. That of the host's default route, when a network is made without it.
      - With O(driver=vxlan), what fits into the packets between the hosts with 50 bytes more, or 70 over IPv6.
    type: int
  isolate:
    description:
      - Whether containers of other networks are kept out. They are, when left out.
      - Those of two networks for which it is V(false) reach each other.
    type: bool
  driver_options:
    description:
      - Options by the names of Docker's bridge driver. C(com.docker.network.driver.mtu) is the same as O(mtu).
        C(com.docker.network.bridge.name) is the name of the bridge, for a network that is made.
        C(com.docker.network.bridge.enable_icc) is whether its containers reach each other, and
        C(com.docker.network.bridge.enable_ip_masquerade) whether they have the host's address outside.
      - C(com.docker.network.bridge.host_binding_ipv4) is the address of the host for published ports that name none, of
        containers whose first network it is.
      - C(com.docker.network.bridge.gateway_mode_ipv4) and C(com.docker.network.bridge.gateway_mode_ipv6) are V(nat), as
        when left out, or V(nat-unprotected), where who routes to a container's own address from outside reaches all of
        its ports; or V(routed), where nothing is translated. Then containers keep their own addresses outside, and who
        has a route to them reaches the ports that they publish, those of the container, and can ping them; so can
        other networks. No port of the host is taken. A port that is published on the host's loopback is not opened.
        V(isolated), which takes O(internal=true), leaves the containers on their own. The host has no address there.
      - Others are refused, since they would have no effect.
    type: dict
  labels:
    description: Labels, for people and their tools. All of them; those not listed are removed.
    type: dict
  firewall_driver:
    description:
      - The packet filter for all networks of this O(state_root).
        V(nftables) has a table of its own, in which the rules for a packet are looked up however many there are.
        V(iptables) has chains of its own, legacy or nft behind the commands, as the host's administrator chose.
      - When left out, it is the one in use. A first network gets nftables, unless the host uses iptables already
        or has nothing else.
      - Another one than before takes over all rules, of containers as well, in one step.
    type: str
    choices: [nftables, iptables]
  connected:
    description:
      - Containers that are in the network, by name or id, running or not; they join and leave while they run. Who else
        is in it leaves, unless O(appends=true). An empty list leaves nobody. Nothing is changed, when left out.
      - Who joins so has any free address. A container's own task has the last word, when it lists its networks.
    type: list
    elements: str
    aliases: [containers]
  appends:
    description: Whether those that are not in O(connected) stay.
    type: bool
    default: false
    aliases: [incremental]
  force:
    description:
      - Whether to remove the network while containers are in it, or to change it so that some lose their addresses.
        Those are connected again, each with an address that the network has now, and with its own where that is one.
        Who asked for another has any.
      - Without it, such a change is refused, with the names of who would be hit. What takes nobody's address is done
        in any case, and who needs another route or cable gets it at once.
    type: bool
    default: false
extends_documentation_fragment:
  - mini.containers.state
  - mini.containers.state.converges
requirements:
  - pyroute2 0.7.2 or newer on the managed host
  - nftables or iptables on the managed host
seealso:
  - module: mini.containers.mini_network_info
  - module: mini.containers.mini_container
"""

EXAMPLES = r"""
- name: A network with a free subnet
  mini.containers.mini_network:
    name: backend

- name: A network with both families, where addresses below 10.20.31.128 are for other machines
  mini.containers.mini_network:
    name: frontend
    ipam_config:
      - subnet: 10.20.31.0/24
        iprange: 10.20.31.128/25
        aux_addresses:
          printer: 10.20.31.200
      - subnet: fd12:3456:789a:1::/64

- name: A network that cannot reach the world
  mini.containers.mini_network:
    name: database
    subnet: 10.20.30.0/24
    gateway: 10.20.30.254
    internal: true
    labels:
      site: demo

- name: These two can reach each other here, and nobody else
  mini.containers.mini_network:
    name: backend
    connected: [web, db]

- name: One network over all hosts of a group
  mini.containers.mini_network:
    name: mesh
    driver: vxlan
    subnet: 10.50.0.0/16
    vxlan:
      host: "{{ inventory_hostname }}"
      hosts: {web1: 192.0.2.11, web2: 192.0.2.12, web3: 192.0.2.13}

- name: Remove a network and disconnect who is left in it
  mini.containers.mini_network:
    name: backend
    state: absent
    force: true
"""

RETURN = r"""
network:
  description: The network, with the keys of C(docker network inspect). C(null) when it is absent.
  returned: success
  type: dict
  sample: {"Id": "8a4c…", "Name": "backend", "Driver": "bridge",
           "IPAM": {"Config": [{"Subnet": "10.213.0.0/24", "Gateway": "10.213.0.1"}]}, "Containers": {}}
actions:
  description: Names of the steps that were taken, or in check mode would be.
  returned: success
  type: list
  elements: str
  sample: [write-network, install-rules, create-bridge, set-bridge-sysctls, set-gateway]
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mini.containers.plugins.module_utils.core.paths import Paths
from ansible_collections.mini.containers.plugins.module_utils.engine.networks.converge import ensure
from ansible_collections.mini.containers.plugins.module_utils.glue.members import (
    MEMBER_OPTIONS,
    bring_members,
    check_members,
    remove_with_members,
)
from ansible_collections.mini.containers.plugins.module_utils.glue.network import NETWORK_OPTIONS, given, network_spec
from ansible_collections.mini.containers.plugins.module_utils.glue.task import (
    STATE_ROOT_OPTION,
    plan_result,
    run_task,
)

ARGUMENT_SPEC: dict[str, Any] = {
    **NETWORK_OPTIONS,
    **MEMBER_OPTIONS,
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "force": {"type": "bool", "default": False},
    **STATE_ROOT_OPTION,
}


def work(module: AnsibleModule, paths: Paths) -> dict[str, Any]:
    """Converge, or in check mode plan."""
    spec = network_spec(module.params)
    switches = {"force": module.params["force"], "check": module.check_mode}
    if module.params["state"] == "absent":
        outcome = remove_with_members(paths, spec.name, **switches)
    else:
        more = {"names": module.params["names"], "firewall": module.params["firewall_driver"] or ""}
        check_members(paths, module.params, check=module.check_mode)
        outcome = ensure(paths, spec, given(module.params), **more, **switches)
        for doubt in outcome.doubts:
            module.warn(doubt)
        outcome = bring_members(paths, spec.name, module.params, outcome, check=module.check_mode)
    return plan_result(module, outcome.plan, network=outcome.network)


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec=ARGUMENT_SPEC,
        mutually_exclusive=[("subnet", "ipam_config"), ("gateway", "ipam_config")],
        supports_check_mode=True,
    )
    run_task(module, work)


if __name__ == "__main__":
    main()
