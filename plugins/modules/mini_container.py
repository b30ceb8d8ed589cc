#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Containers, one a task."""

from __future__ import annotations

DOCUMENTATION = r"""
module: mini_container
short_description: Run a container without a container engine
version_added: 0.1.0
description:
  - Makes the kernel of the managed host match the container that is described here. It creates, starts, changes,
    mends, stops and removes it.
  - Nothing has to be installed on the host but Python and nftables or iptables. There is no daemon.
  - An option that is left out is not compared with the container that exists, and keeps its value even when another
    option makes a new container necessary. One that is given is the whole truth, unless O(comparisons) says otherwise.
  - Limits, networks, published ports, names, labels and the restart policy are changed while the container runs. What
    else differs takes a new container, which check mode says, and why.
options:
  name:
    description: Name of the container.
    type: str
    required: true
  image:
    description:
      - Image in the store, as C(name), C(name:tag) or by its id. It is put there by M(mini.containers.mini_image).
      - Needed when the container does not exist yet. Another image behind the same name recreates the container.
    type: str
  command:
    description: Command and arguments, as a list, or as a string that is split as a shell would split it.
    type: raw
  entrypoint:
    description: Replaces the image's entry point, and sets its command aside.
    type: list
    elements: str
  env:
    description: Environment variables. Nothing of the host's environment is handed on.
    type: dict
  env_file:
    description:
      - Path of a file on the managed host with lines of C(NAME=value). O(env) goes before it.
      - What is compared is the file's content. The container has a new one made when that has changed.
    type: path
  working_dir:
    description: Working directory, made when it is missing.
    type: str
  user:
    description: User the command runs as, C(name), C(uid), C(name:group) or C(uid:gid), looked up in the container.
    type: str
  groups:
    description: More groups, by name or number.
    type: list
    elements: str
  hostname:
    description: Host name of the container. Its name, when left out.
    type: str
  domainname:
    description: NIS domain name of the container.
    type: str
  volumes:
    description:
      - Mounts, as C(source:/target) or C(source:/target:ro).
      - A source that begins with a slash is a path on the host, and has to exist. Any other is the name of a volume,
        which is made on demand and outlives the container. See M(mini.containers.mini_volume).
      - A target alone, C(/target), gets an anonymous volume. So does each volume of the image whose place is free.
        A container that replaces another one gets new ones, as under Docker.
      - A volume that is empty when the container is made gets what the image has at the target, with owners, modes,
        times and attributes, unless the mount says C(nocopy).
    type: list
    elements: str
  mounts:
    description: Mounts with all their fields, besides O(volumes) and O(tmpfs).
    type: list
    elements: dict
    suboptions:
      target:
        description: Path in the container.
        type: str
        required: true
      source:
        description: Path on the host, or the name of a volume or an image. A volume without one is anonymous.
        type: str
      type:
        description:
          - What is mounted.
          - With V(image) it is what an image in the store has, which can only be read. Another image behind the same
            name recreates the container.
        type: str
        choices: [bind, volume, tmpfs, image]
        default: volume
      read_only:
        description: Whether it can only be read, all the way down.
        type: bool
        default: false
      propagation:
        description:
          - Whether later mounts of the host below the source arrive in the container (V(rslave)) or not.
          - With V(rshared) those that the container makes there go out to the host as well, and stay when it ends. The
            source has to be on a mount that is shared.
        type: str
        choices: [rprivate, private, rslave, slave, rshared, shared]
      tmpfs_size:
        description: Size of a tmpfs, such as V(64M).
        type: str
      tmpfs_mode:
        description: Mode of a tmpfs, in octal digits.
        type: str
      tmpfs_options:
        description: More options of a tmpfs, each as a dictionary with one key. A flag has no value.
        type: list
        elements: dict
      create_mountpoint:
        description: Whether the source of a bind mount is made, as a directory, when it is missing.
        type: bool
        default: false
      non_recursive:
        description: Whether what is mounted below the source of a bind mount stays out.
        type: bool
        default: false
      read_only_non_recursive:
        description: Whether what is mounted below the source can be written, where the bind mount itself cannot.
        type: bool
        default: false
      read_only_force_recursive:
        description: >-
          Whether a kernel that can make a mount read-only, but not what is below it (before 5.12), is an error.
        type: bool
        default: false
      no_copy:
        description: Whether an empty volume stays empty.
        type: bool
        default: false
      subpath:
        description:
          - Directory or file inside of the volume, or directory in the image, to mount instead of the whole. It has to
            exist.
          - Links in it are followed inside of the volume or image only.
        type: str
      labels:
        description: Labels of the volume when it is made on demand.
        type: dict
      volume_driver:
        description: V(local), which is the only one.
        type: str
      volume_options:
        description: Has to be empty. C(driver_options) of M(mini.containers.mini_volume) says what leads there instead.
        type: dict
  volumes_from:
    description:
      - Containers whose bind mounts and volumes this one has as well, as C(name) or C(name:ro).
      - Where it has a mount of its own, that one counts. What they have is looked up when this one is made.
    type: list
    elements: str
  keep_volumes:
    description: Whether the anonymous volumes of a container stay when it is removed or replaced.
    type: bool
    default: true
  secrets:
    description:
      - Files that are kept in memory. Their content is in no record and in no result.
      - New content restarts the container. Any other change of a secret recreates it.
      - The content is there for every restart. A reboot takes it from memory. After that a secret with
        O(secrets[].src) is read again, and one with O(secrets[].content) needs this task to start the container.
    type: list
    elements: dict
    suboptions:
      source:
        description: Name of the secret.
        type: str
        required: true
        aliases: [name]
      content:
        description: The secret itself. Either this or O(secrets[].src) is needed.
        type: str
      src:
        description: Path of a file on the managed host that has it.
        type: path
      target:
        description: Path in the container. A relative one is below C(/run/secrets), and so is the name, when left out.
        type: str
      uid:
        description: Owner of the file.
        type: int
        default: 0
      gid:
        description: Group of the file.
        type: int
        default: 0
      mode:
        description: Mode of the file, in octal digits.
        type: raw
        default: "0444"
  tmpfs:
    description: Paths that are kept in memory, as C(/run) or C(/run:size=64M,mode=755).
    type: list
    elements: str
  read_only:
    description: Whether the root file system can only be read.
    type: bool
  shm_size:
    description: Size of C(/dev/shm). V(64M), when left out.
    type: str
  memory:
    description: Memory limit, such as V(64M). V(0) is none.
    type: str
  memory_swap:
    description: Limit of memory and swap together. Twice O(memory) when left out, V(-1) is none.
    type: str
  memory_reservation:
    description: Memory that the kernel leaves to the container when it is short.
    type: str
  cpus:
    description: Number of CPUs the container may use, such as V(0.5). V(0) is no limit.
    type: float
  cpuset_cpus:
    description: CPUs the container may run on, such as V(0-3,7).
    type: str
  cpuset_mems:
    description: Memory nodes the container may use, such as V(0).
    type: str
  cpu_shares:
    description: Weight of the container when it competes for processor time. 1024 is the default.
    type: int
  pids_limit:
    description: How many processes and threads there may be. V(0) is no limit.
    type: int
  cpu_period:
    description: Microseconds in which O(cpu_quota) is counted, from 1000 to 1000000. V(0) is the kernel's 100000.
    type: int
  cpu_quota:
    description: Microseconds of processor time in each O(cpu_period). V(0) is no limit. O(cpus) is the simpler way.
    type: int
  memory_swappiness:
    description:
      - How readily the kernel swaps the container's memory, from 0 to 100. V(-1) is as readily as the host's.
      - cgroup v2 has no such setting. There, giving one is an error.
    type: int
  oom_killer:
    description:
      - Whether to turn the out-of-memory killer off, as in C(docker_container). The container then waits for memory.
      - cgroup v2 has no such setting. There, V(true) is an error.
    type: bool
  blkio_weight:
    description:
      - Weight of the container when it competes for block devices, from 10 to 1000. V(0) is the kernel's default.
      - The kernel has it only with an I/O scheduler that weighs, such as BFQ.
    type: int
  device_read_bps:
    description: How many bytes a second may be read from block devices.
    type: list
    elements: dict
    suboptions: &rates
      path:
        description: Path of the device on the host, such as C(/dev/sda).
        type: str
        required: true
      rate:
        description: Bytes a second, with a unit such as V(10M).
        type: str
        required: true
  device_write_bps:
    description: How many bytes a second may be written to block devices.
    type: list
    elements: dict
    suboptions: *rates
  device_read_iops:
    description: How many reads a second block devices may be asked for.
    type: list
    elements: dict
    suboptions: &operations
      path:
        description: Path of the device on the host, such as C(/dev/sda).
        type: str
        required: true
      rate:
        description: Operations a second.
        type: int
        required: true
  device_write_iops:
    description: How many writes a second block devices may be asked for.
    type: list
    elements: dict
    suboptions: *operations
  cgroup_parent:
    description:
      - The cgroup below which the container's own is made, such as V(/services). It is made when it is missing, and
        stays. V(/mini) when left out.
    type: str
  devices:
    description:
      - Devices of the host, as C(/dev/x), C(/dev/x:/dev/y) or C(/dev/x:/dev/y:rw). The last are some of read, write
        and make.
      - A directory stands for all devices below it.
    type: list
    elements: str
  device_cgroup_rules:
    description: Devices that may be used wherever a node of them comes from, as C(c 42:* rwm).
    type: list
    elements: str
  network_mode:
    description:
      - V(host) shares the host's network, V(container:NAME) that of another container, which has to run.
      - V(none) is no network but a loopback interface, as without O(networks). V(default) is what O(networks) says.
      - Any other value is the name of a network, and means the same as naming it first in O(networks).
      - When the other container has been made or started anew, the next run restarts this one to join it again.
    type: str
  pid_mode:
    description: V(host) to see all processes of the host, V(container:NAME) those of another container, which must run.
    type: str
  ipc_mode:
    description:
      - V(private), as when left out, keeps System V and POSIX IPC and C(/dev/shm) to itself. V(shareable) lets others
        join.
      - V(container:NAME) joins a container that is shareable, V(host) the host. V(none) has no C(/dev/shm).
    type: str
  uts:
    description: V(host) has the host's own host name. V(private), as when left out, has its own.
    type: str
    choices: [host, private]
  cgroupns_mode:
    description: Whether the container sees itself at the root of its cgroups, V(private), or where it is, V(host).
    type: str
    choices: [host, private]
  userns_mode:
    description:
      - With V(private) the container's root is nobody on the host. It has 65536 user and group ids of the host for
        itself, and its files, volumes and binds are shown to it as if they were its own, whose owners stay on the disk.
      - This takes Linux 5.19, and file systems that can be shown so, such as ext4, xfs and btrfs.
      - V(host), as when left out, has the host's ids.
    type: str
    choices: [host, private]
  networks:
    description:
      - Networks the container is in. The first one has the default route.
      - Without any, the container has only a loopback interface.
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of a network made by M(mini.containers.mini_network).
        type: str
        required: true
      ipv4_address:
        description: IPv4 address in the network, reserved while the container exists. Any free one, when left out.
        type: str
      ipv6_address:
        description: IPv6 address in the network, likewise.
        type: str
      aliases:
        description: More names by which the others in the network find the container.
        type: list
        elements: str
      links:
        description:
          - Names that this container alone has for others in the network, as C(container:alias).
          - One that is not there yet has its name when it comes.
        type: list
        elements: str
      mac_address:
        description:
          - Hardware address of the interface. One made from the first IP address, when left out.
          - One that another container has in the network, running or not, is refused.
        type: str
      driver_opts:
        description: >-
          C(com.docker.network.endpoint.ifname) is the name of the interface in the container. The next free of C(eth0),
          C(eth1) and so on, when left out. C(com.docker.network.endpoint.sysctls) are its settings, such as
          C(net.ipv4.conf.IFNAME.log_martians=1), with commas between them. Other options are refused.
        type: dict
      gw_priority:
        description: The default route leads into the network with the highest number. The first of several.
        type: int
  mac_address:
    description: Hardware address in the first of the O(networks), unless that has its own.
    type: str
  published_ports:
    description:
      - Ports published on the host, as C(8080:80), C(127.0.0.1:8080:80), C([::1]:8080:80), C(53:53/udp),
        C(5060:5060/sctp) or C(8000-8002:80-82).
      - Without an address a port is published on all of the host, and where the container's network has IPv6, on those
        of IPv6, too. C(0.0.0.0:8080:80) is for those of IPv4 alone, C([::]:8080:80) for those of IPv6.
      - Where bridges call the packet filter (C(net.bridge.bridge-nf-call-ip6tables) is 1, as a running docker sets it),
        the kernel loses the answers to C(::1). C(127.0.0.1) and all other addresses of the host work.
      - C(80) and C(127.0.0.1::80) take any free port of the host, C(8000-8010:80) a free one of these. It is kept.
      - In a network that is routed (O(mini.containers.mini_network#module:driver_options)) the port of the container is
        open at its own address, and that of the host does not matter.
      - An entry that is a mapping says who may use the port. V(published) is written as above, V(allow_from) lists
        networks, such as V(192.0.2.0/24). For all others nothing listens there; the host itself is let in through
        its loopback addresses.
      - They are changed without a restart.
    type: list
    elements: raw
    aliases: [ports]
  default_host_ip:
    description: Address of the host for those of the O(published_ports) that name none. All, when left out.
    type: str
  exposed_ports:
    description: Ports that the container listens on, as C(80) or C(53/udp). They matter to O(publish_all_ports).
    type: list
    elements: str
    aliases: [exposed, expose]
  publish_all_ports:
    description: Whether to publish all exposed ports, the image's among them, on any free ports of the host.
    type: bool
  dns_servers:
    description: >-
      Resolvers, by address. Those of the host, but for loopback ones, when left out, and none for a container whose
      networks are all internal.
    type: list
    elements: str
  dns_search_domains:
    description: Domains in which short names are looked up.
    type: list
    elements: str
  dns_opts:
    description: Options of the resolver.
    type: list
    elements: str
  etc_hosts:
    description: More names and their addresses. V(host-gateway) is the host as the container sees it.
    type: dict
  labels:
    description: Labels of the container.
    type: dict
  capabilities:
    description: Capabilities to add to the default ones, with or without C(CAP_). V(ALL) is all.
    type: list
    elements: str
  cap_drop:
    description: Capabilities to take from the default ones. V(ALL) leaves those in O(capabilities).
    type: list
    elements: str
  privileged:
    description: Whether to take all confinement away but the namespaces. Root inside is then root on the host.
    type: bool
  security_opts:
    description:
      - V(no-new-privileges), V(seccomp=unconfined) and V(seccomp=/a/profile.json), as Docker writes them. The file is
        on the managed host, and its content is compared.
      - Without one of the latter two, the container runs under Docker's default filter of system calls.
      - V(apparmor=PROFILE) names an AppArmor profile that is loaded on the managed host. There is none without it, as
        with V(apparmor=unconfined). On a host that has no AppArmor, any other is an error.
    type: list
    elements: str
  sysctls:
    description: Kernel settings of the container's own namespaces.
    type: dict
  ulimits:
    description: Resource limits, as C(nofile:1024:4096).
    type: list
    elements: str
  oom_score_adj:
    description: How soon the container is ended when the host's memory is short, from -1000 to 1000.
    type: int
  no_new_privs:
    description: Whether programs inside can never gain privileges by executing another one (setuid, capabilities).
    type: bool
  restart_policy:
    description:
      - When the container is started again after it has ended. The pauses between grow from 100 ms to a minute.
      - At boot it is what M(mini.containers.mini_boot) goes by.
      - It can be changed while the container runs.
    type: str
    choices: ["no", "on-failure", "always", "unless-stopped"]
  restart_retries:
    description: How often V(on-failure) tries. V(0) is no limit.
    type: int
  log_driver:
    description:
      - Where the output goes. V(json-file), V(local) and V(k8s-file) are all the same file on the host. It is rotated
        by size, and its lines are those of the Kubernetes CRI. RV(container.LogPath) is its path.
      - With V(none) nothing is kept, so that O(detach=false) returns no output.
      - Other drivers of Docker send logs on. Here a program that reads the file does that.
    type: str
  log_options:
    description: C(max-size) of the log's file, 10M when left out, and C(max-file), how many there are, 3 when left out.
    type: dict
    aliases: [log_opt]
  stop_signal:
    description: Signal that asks the container to end. That of the image, else SIGTERM, when left out.
    type: str
  stop_timeout:
    description: Seconds to wait after O(stop_signal) before the container is killed. 10, when left out.
    type: int
  tty:
    description:
      - Give the container's process a terminal of its own as its standard streams, and E(TERM).
      - The log has what the terminal shows, as one stream. A terminal ends with the monitor that holds it; a container
        without one outlives its monitor.
    type: bool
  interactive:
    description:
      - Keep the standard input of the container open. A process that reads from it waits; without this it sees its end.
    type: bool
  init:
    description:
      - Whether a small program is the first process in the container, which hands signals on to the command and buries
        the processes that are orphaned.
      - It is the host's C(tini-static), C(docker-init) or C(catatonit), in the container as C(/dev/init).
    type: bool
  detach:
    description:
      - Whether the task returns while the container runs.
      - With V(false) it waits for the end, returns RV(rc), RV(stdout) and RV(stderr), and fails unless the code is 0.
    type: bool
    default: true
  output_logs:
    description: Whether to write the output into the log of Ansible on the host as well, with O(detach=false).
    type: bool
    default: false
  cleanup:
    description: Whether to remove the container when it has ended, with O(detach=false).
    type: bool
    default: false
  auto_remove:
    description:
      - Whether the container is removed as soon as it has ended, whoever or whatever ended it.
      - It can be changed while the container runs. Not with a O(restart_policy).
    type: bool
  paused:
    description: Whether the container's processes are stopped where they are. Left as it is, when left out.
    type: bool
  healthcheck:
    description:
      - A command that is run in the container from time to time, and says by its exit code whether all is well.
      - What is left out is the image's, if that has a health check, else the default.
      - It can be changed while the container runs, and then begins anew. A probe ends with everything it has started.
    type: dict
    suboptions:
      test:
        description:
          - A string is run by the container's shell. A list begins with V(CMD) and goes on with program and arguments,
            or is V(CMD-SHELL) and a string. V([NONE]) takes the health check of the image away.
        type: raw
      test_cli_compatible:
        description:
          - Whether the test of the image counts when O(healthcheck.test) is left out. With V(false) there is no health
            check then, which is the default of C(docker_container).
        type: bool
        default: true
      interval:
        description: Time between two probes, such as V(1m30s). V(30s), when left out.
        type: str
      timeout:
        description: Time after which a probe is killed and has failed. V(30s), when left out.
        type: str
      start_period:
        description: Time after the start in which failures do not count. None, when left out.
        type: str
      start_interval:
        description: Time between two probes in O(healthcheck.start_period). V(5s), when left out.
        type: str
      retries:
        description: After so many failures in a row the container is unhealthy. 3, when left out.
        type: int
  healthy_wait_timeout:
    description: Seconds to wait with O(state=healthy). As long as it takes with V(0) or less.
    type: float
    default: 300
  state:
    description:
      - V(started) - it exists as described, and runs.
      - V(healthy) - it exists as described, runs, and its health check has succeeded. The task fails when the container
        ends first, when the time is over, and when there is no health check. One that replaces another has to be
        healthy before that goes; else the old one is back. A task that is killed meanwhile leaves both, and the next
        one goes on.
      - V(present) - it exists as described, whether it runs or not.
      - V(stopped) - it exists as described, and does not run.
      - V(absent) - it does not exist. Its volumes stay.
    type: str
    choices: [started, healthy, present, stopped, absent]
    default: started
  recreate:
    description: Whether to replace the container even when it is as described, with the options of this task alone.
    type: bool
    default: false
  pull:
    description:
      - Whether the image is fetched from its registry. With V(missing), when a new container is to be made of it and
        it is not in the store; with V(always), on each task when the registry has another one under the name now.
        V(true) is V(always), and V(false) is V(missing). An image that is called by its id is never fetched.
      - Logins are those of the docker and podman on the host, if there are any. For everything else that a registry may
        want, and for images from elsewhere, bring the image with M(mini.containers.mini_image) first.
    type: raw
    choices: [never, missing, always, true, false]
    default: missing
  pull_check_mode_behavior:
    description:
      - What check mode says when O(pull) is V(always). When left out, the registry is asked for its image.
      - With V(image_not_present) it is not asked, and an image that is in the store is no change. With V(always) the
        task is one that changes something.
    type: str
    choices: [image_not_present, always]
  removal_wait_timeout:
    description: >-
      Seconds to wait for a removal to be over. Here it always is when the task returns, however long it takes, so that
      nothing has to be given.
    type: float
  restart:
    description: Whether to restart the container when it runs already.
    type: bool
    default: false
  force_kill:
    description: Whether to kill the container at once where it has to be stopped.
    type: bool
    default: false
    aliases: [forcekill]
  kill_signal:
    description: The signal for O(force_kill). When it has not ended the container after O(stop_timeout), SIGKILL does.
    type: str
  comparisons:
    description:
      - How options are compared with the container that exists, by their names.
      - V(strict) takes what is given for the whole truth, as all options are by default. Fewer entries than before are
        a difference.
      - V(ignore) never makes a difference. When another option makes a new container necessary, it has what is given.
      - V(allow_more_present) accepts more entries in lists and dictionaries than are given, and keeps them.
      - The name V(*) stands for all options that are not named, and can be V(strict) or V(ignore).
    type: dict
  image_name_mismatch:
    description: Whether to V(recreate) or to V(ignore) a container whose image has the same content but another name.
    type: str
    choices: [recreate, ignore]
    default: recreate
  image_label_mismatch:
    description: Whether to V(fail) when the image has labels that O(labels) does not name.
    type: str
    choices: [ignore, fail]
    default: ignore
  image_comparison:
    description:
      - Whether O(image_label_mismatch) looks at the image that the task names or at that of the existing container.
    type: str
    choices: [desired-image, current-image]
    default: desired-image
  platform:
    description: Platform that the image must be for, such as V(linux/amd64). Another one is an error.
    type: str
extends_documentation_fragment:
  - mini.containers.state
  - mini.containers.state.converges
seealso:
  - module: mini.containers.mini_container_info
  - module: mini.containers.mini_container_exec
"""

EXAMPLES = r"""
- name: A web server, published on port 8080
  mini.containers.mini_container:
    name: web
    image: busybox
    command: httpd -f -h /www
    networks:
      - name: lan
    published_ports:
      - 8080:80
      - published: 9100:9100
        allow_from: [192.0.2.0/24, "2001:db8::/32"]
    volumes:
      - pages:/www
    memory: 64M
    pids_limit: 50

- name: A database, its data in a volume and its password in memory
  mini.containers.mini_container:
    name: database
    image: postgres
    env:
      POSTGRES_PASSWORD_FILE: /run/secrets/password
    secrets:
      - source: password
        content: "{{ vault_password }}"
        mode: "0400"
    mounts:
      - source: data
        target: /var/lib/postgresql/data
        labels:
          backup: nightly

- name: A command that is waited for
  mini.containers.mini_container:
    name: fetch
    image: busybox
    command: wget -q -O - http://web/
    networks:
      - name: lan
    detach: false

- name: A new version takes over only when it answers; else the old one is back
  mini.containers.mini_container:
    name: web
    image: busybox:new
    healthcheck:
      test: wget -q -O /dev/null http://127.0.0.1/
      interval: 2s
      retries: 5
    state: healthy
    healthy_wait_timeout: 60

- name: The web server is gone, its volume is kept
  mini.containers.mini_container:
    name: web
    state: absent
"""

RETURN = r"""
container:
  description:
    - The container as C(docker inspect) shows it, with the same keys. Empty when it does not exist.
    - With O(detach=false) it has the key C(Output), what came on both streams, and is described as it was at its end.
  returned: success
  type: dict
  sample: {"Id": "8a4c…", "Name": "/web", "State": {"Status": "running", "Pid": 4711}}
actions:
  description: The names of the steps that were done, or that check mode would have done.
  returned: success
  type: list
  elements: str
  sample: [reserve-name, make-directories, lease-address, write-record, make-netns, connect, write-bundle, start]
rc:
  description: The exit code of the container.
  returned: when O(detach=false)
  type: int
  sample: 0
status:
  description: The same as RV(rc).
  returned: when O(detach=false)
  type: int
  sample: 0
stdout:
  description: What the container wrote to its standard output in this run.
  returned: when O(detach=false)
  type: str
  sample: "hello\n"
stderr:
  description: What the container wrote to its standard error in this run.
  returned: when O(detach=false)
  type: str
  sample: ""
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mini.containers.plugins.module_utils.core.paths import Paths
from ansible_collections.mini.containers.plugins.module_utils.glue.container_options import CONTAINER_OPTIONS
from ansible_collections.mini.containers.plugins.module_utils.glue.containers import Task, bring, foreground, told
from ansible_collections.mini.containers.plugins.module_utils.glue.task import (
    STATE_ROOT_OPTION,
    plan_result,
    run_task,
    say_presumed,
)

ARGUMENT_SPEC: dict[str, Any] = {**CONTAINER_OPTIONS, **STATE_ROOT_OPTION}


def work(module: AnsibleModule, paths: Paths) -> dict[str, Any]:
    """Converge, wait for what is to be waited for, and tell."""
    task = Task.read(module.params)
    if task.in_foreground and not module.check_mode:
        finished = foreground(module, paths, task)
    else:
        (finished,) = bring(paths, [task], check=module.check_mode)
    if finished.error:
        raise finished.error
    say_presumed(module, finished.warnings)
    return {**plan_result(module, finished.plan, container=finished.facts), **told(task.name, finished.end)}


def main() -> None:
    """Entry point."""
    run_task(AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True), work)


if __name__ == "__main__":
    main()
