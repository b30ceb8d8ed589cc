# SPDX-License-Identifier: GPL-3.0-or-later
"""The unit that brings containers back at boot: a template, with an instance for each state root (systemd.unit(5)).

`KillMode=process`, and what it starts moves into cgroups of its own: to stop or restart the unit ends no container.
Only when the host goes down does its `ExecStop` end them, while the network is still up. A packet filter service that
is started, restarted or reloaded takes the unit along, because it has just flushed our rules.
"""

from __future__ import annotations

from .systemd import escape_path

TEMPLATE = "mini-containers@.service"
FIREWALLS = "firewalld.service iptables.service netfilter-persistent.service nftables.service ufw.service"


def instance(state_root: str) -> str:
    """The unit of one state root."""
    return TEMPLATE.replace("@", f"@{escape_path(state_root)}")


def text(python: str) -> str:
    """The unit file. `python` is the interpreter that has what the engine needs."""
    program = f"{python} -I %f/runtime/boot"
    return f"""\
# Written by the Ansible module mini.containers.mini_boot.
[Unit]
Description=Containers below %f
ConditionPathExists=%f/runtime/boot
RequiresMountsFor=%f
Wants=network-online.target
After=local-fs.target remote-fs.target network-online.target {FIREWALLS}
PartOf={FIREWALLS}
ReloadPropagatedFrom={FIREWALLS}

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart={program} reconcile %f
ExecReload={program} reconcile %f
ExecStop={program} shut-down %f
KillMode=process
TasksMax=infinity
TimeoutStartSec=infinity
TimeoutStopSec=120

[Install]
WantedBy=multi-user.target {FIREWALLS}
"""
