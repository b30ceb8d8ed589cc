# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation that every module shares."""

from __future__ import annotations


class ModuleDocFragment:
    """The state root, and what all modules can do."""

    DOCUMENTATION = r"""
options:
  state_root:
    description:
      - Directory on the managed host in which images, networks and containers are kept.
      - Two state roots know nothing of each other.
    type: path
    default: /var/lib/mini
requirements:
  - Linux 5.10 or newer on the managed host
  - Python 3.9 or newer on the managed host
author:
  - The mini.containers authors (@mini)
"""

    CONVERGES = r"""
attributes:
  check_mode:
    description: Can run in C(check_mode) and say what would be changed, without changing anything.
    support: full
  diff_mode:
    description: Shows the plan, one line for each step with its reason.
    support: full
"""

    READS = r"""
attributes:
  check_mode:
    description: Reads only, so that check mode makes no difference.
    support: full
  diff_mode:
    description: There is nothing to compare.
    support: N/A
"""
