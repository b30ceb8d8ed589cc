# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of what all modules say that speak to registries."""

from __future__ import annotations


class ModuleDocFragment:
    """Whom to ask, who we are, and whom we trust."""

    DOCUMENTATION = r"""
options:
  mirrors:
    description:
      - Registries that are asked before the one that the name means, in this order, such as V(mirror.example),
        V(mirror.example:5000) or V(mirror.example/docker-hub), whose path is put before the name of each repository.
      - A mirror is spoken to without encryption only when it is given as V(http://mirror.example:5000).
      - One that does not have the image is passed over. One that does not answer, or not as it should, is warned of and
        not asked again by the task. Whoever a layer comes from, its digest is verified.
      - Logins for mirrors are those of O(auth_file). Nothing is pushed to a mirror.
    type: list
    elements: str
  registry_username:
    description: Login for the registry. Without one, O(auth_file) is looked into.
    type: str
  registry_password:
    description: Password, or access token, of O(registry_username).
    type: str
  auth_file:
    description:
      - Path on the managed host of a file of logins, as C(docker login), C(podman login) or C(skopeo login) writes it.
      - When it is not given, the places are searched where podman and docker keep it for the user.
        E(REGISTRY_AUTH_FILE), E(XDG_RUNTIME_DIR) and E(DOCKER_CONFIG) change them as they do there.
      - A helper program that such a file names for the registry, in C(credHelpers) or C(credsStore), is asked as docker
        asks it.
    type: path
  ca_path:
    description: Path on the managed host of the certificate of the authority that the registry's is checked with.
    type: path
  client_cert:
    description: Path on the managed host of a certificate to show to the registry, perhaps with its key in it.
    type: path
  client_key:
    description: Path on the managed host of the key of O(client_cert).
    type: path
  validate_certs:
    description: Whether the registry's certificate is checked.
    type: bool
    default: true
  plain_http:
    description:
      - Whether the registry is spoken to without encryption. Logins can be read by anybody on the way then.
      - Proxies are those of the task's environment.
    type: bool
    default: false
  timeout:
    description:
      - Seconds for which a registry may be silent. What broke off is gone on with, some times, and by the next task.
    type: int
    default: 60
"""
