# SPDX-License-Identifier: GPL-3.0-or-later
"""From what is asked and what is there to the steps between. Pure: nothing is read or written here.

An option that the task leaves out is not compared, as in `docker_container`, and keeps its value when another one
makes a new container necessary; one that is given is the whole truth, unless `comparisons` says otherwise. `recreate`
goes by the task alone.
"""

from __future__ import annotations

from dataclasses import fields, replace

from ...core.errors import BadInput, Conflict, ImageMissing, NotFound
from ...core.plan import Impact, Plan, Step
from ...core.specs.container import ContainerSpec
from ...core.specs.image import ImageConfig
from ...core.specs.volume import Mount
from . import conflicts, macs, publishing, sharing, upkeep
from .bundle import arguments
from .changing import LIVE, live_changes, mend
from .compare import Wish, changes, image_label, merge
from .images import check_labels, check_platform, renamed
from .mounts import resolve
from .observe import Observation
from .record import STARTED, STOPPED

__all__ = ["LIVE", "Wish", "plan", "start_steps"]

_ELSEWHERE = ("name", "image", "limits", "networks", "ports", "publish_all_ports", "host_binding", "routed")
RECREATE = tuple(f.name for f in fields(ContainerSpec) if f.name not in (*LIVE, *_ELSEWHERE))


def plan(wish: Wish, seen: Observation) -> Plan:
    """The steps from `seen` to `wish`, none when they agree."""
    return Plan.of([*_tidy(wish, seen), *_steps(wish, seen)])


def _steps(wish: Wish, seen: Observation) -> list[Step]:
    """What is on trial goes through it before anything else counts as done."""
    steps = _way(wish, seen)
    if not (seen.on_trial and wish.runs and wish.settles):
        return steps
    name = wish.spec.name
    resume = Step("resume", name, "it replaces another one, and has not proved itself")
    return [resume, *steps, *upkeep.prove(wish.state, wish.healthy_timeout, name), _discard(wish)]


def _way(wish: Wish, seen: Observation) -> list[Step]:
    if wish.state == "absent":
        return _remove(wish, seen) if seen.record else []
    check_platform(wish, seen.image)
    check_labels(wish, seen.image, seen.record)
    if seen.record is None:
        return _create(wish, seen, "it does not exist")
    if upkeep.over(seen):
        return [upkeep.clear(wish.spec.name), *_create(wish, seen, "auto_remove is set")]
    wanted = merge(seen.record.spec, wish, skip=wish.ignored)
    reasons = differences(seen, wanted, wish)
    if wish.recreate:
        return _replace(replace(wish, spec=replace(wish.spec, image=wanted.image)), seen, "the task says recreate")
    if reasons:
        return _replace(replace(wish, spec=merge(seen.record.spec, wish)), seen, "; ".join(reasons))
    return _converge(wish, seen, replace(publishing.bound(wanted, seen.bindings), image=seen.record.spec.image))


def _tidy(wish: Wish, seen: Observation) -> list[Step]:
    """What a crash left: a container half made goes, one that was set aside for it comes back or goes."""
    name = wish.spec.name
    steps = []
    if seen.half_made:
        steps.append(Step("sweep", name, "it was left half made", detail={"id": seen.half_made}))
    if seen.restore and seen.record:
        steps.append(Step("restore", name, "its replacement was cut short"))
    elif seen.replaced and (wish.state == "absent" or not seen.on_trial):
        steps.append(_discard(wish))
    return steps


def _discard(wish: Wish) -> Step:
    return Step("discard", wish.spec.name, "it has been replaced", detail={"volumes": not wish.keep_volumes})


def _remove(wish: Wish, seen: Observation) -> list[Step]:
    if seen.running and wish.unless_running:
        raise Conflict(f"container {wish.spec.name} runs by now", hint="stop it first")
    steps = [_stop(wish)] if seen.running else []
    reason = "" if wish.keep_volumes else "with its anonymous volumes"
    return [*steps, Step("remove", wish.spec.name, reason, detail={"volumes": not wish.keep_volumes})]


def _replace(wish: Wish, seen: Observation, reason: str) -> list[Step]:
    """The old container keeps everything but its process, until the new one runs; if that fails, it comes back.

    One that was on trial itself is not worth keeping: the one before it is still there.
    """
    create = _create(wish, seen, reason, Impact.RECREATE)
    if seen.on_trial and seen.record:
        return [Step("sweep", wish.spec.name, "it has not proved itself", detail={"id": seen.record.id}), *create]
    was_up = seen.running or (seen.restore and seen.record is not None and seen.record.wanted == STARTED)
    steps = [_stop(wish, bring_back=True)] if was_up else []
    aside = Step("set-aside", wish.spec.name, reason, Impact.RECREATE)
    proof = upkeep.prove(wish.state, wish.healthy_timeout, wish.spec.name)
    return [*steps, aside, *create, *proof, _discard(wish)]


def _stop(
    wish: Wish, *, reason: str = "", keep_network: bool = False, bring_back: bool = False, for_good: bool = False
) -> Step:
    reason = "; ".join(filter(None, [reason, "at once, by force_kill" if wish.force_kill else ""]))
    detail = {
        "kill": wish.force_kill,
        "kill_signal": wish.kill_signal,
        "keep_network": keep_network,
        "bring_back": bring_back,
        "for_good": for_good,
    }
    return Step("stop", wish.spec.name, reason, Impact.RESTART, detail)


def _create(wish: Wish, seen: Observation, reason: str, impact: Impact = Impact.LIVE) -> list[Step]:
    """A container from nothing."""
    spec = publishing.bound(wish.spec, seen.bindings)
    if not spec.image:
        raise BadInput(f"container {spec.name} does not exist, so image is needed to make it", hint="give image")
    conflicts.refuse(spec, wish.given)
    macs.refuse(spec, seen.mac_holders)
    if not wish.presume:
        for lack in lacking(wish, seen):
            raise lack
    if seen.image:
        arguments(spec, seen.image.config)
        upkeep.check_healthy(wish.state, spec, seen.image.config)
    name = spec.name
    steps = list(seen.network_repair)
    config = seen.image.config if seen.image else ImageConfig()
    mounts = resolve(spec, config.volumes, seen.donors)
    detail = {"spec": spec, "image": seen.image, "mounts": mounts}
    steps.append(Step("reserve-name", name, reason, impact, detail))
    steps.append(Step("make-directories", name))
    steps.extend(_make_source(name, mount) for mount in mounts if mount.create or mount.kind == "volume")
    steps.extend(Step("lease-address", network.name, f"for {name}") for network in spec.networks)
    on_trial = seen.on_trial or (impact is Impact.RECREATE and wish.runs)
    steps.append(Step("write-record", name, detail={"wanted": STARTED if wish.runs else "", "on_trial": on_trial}))
    if wish.runs:
        return [*steps, *_start(wish, spec, config)]
    return [*steps, *([Step("write-hosts", name, "so that others know its name")] if spec.networks else [])]


def _start(wish: Wish, spec: ContainerSpec, image: ImageConfig, reason: str = "") -> list[Step]:
    return [*start_steps(spec, image, reason), *upkeep.pause(wish.paused, False, spec.name)]


def _make_source(name: str, mount: Mount) -> Step:
    """What is mounted is there before the container is."""
    if mount.kind == "bind":
        return Step("make-mountpoint", mount.source, f"for {name}")
    reason = f"for {name}" if mount.source else f"for {name}, anonymous"
    return Step("make-volume", mount.source or mount.target, reason, detail={"target": mount.target})


def lacking(wish: Wish, seen: Observation) -> list[NotFound]:
    """What a new container would stand on and that is not there."""
    found: list[NotFound] = []
    if seen.image is None and wish.spec.image:
        found.append(_image_missing(wish.spec.image))
    down = [f"the container {name}, which it is to join, does not run" for name in seen.peers_down if wish.runs]
    gone = [f"container {name} of volumes_from does not exist" for name, has in seen.donors.items() if has is None]
    for lack in (*seen.missing, *gone, *down):
        found.append(NotFound(f"cannot make {wish.spec.name}: {lack}", hint="make it first, or leave it out"))
    return found


def _image_missing(name: str) -> ImageMissing:
    return ImageMissing(f"image {name} is not in the store", hint="bring it with mini_image first")


def start_steps(spec: ContainerSpec, image: ImageConfig, reason: str = "") -> list[Step]:
    """Everything the first process needs is complete before it starts."""
    name = spec.name
    ports = ", ".join(port.show() for port in publishing.wanted(spec, image))
    steps = [Step("claim-ports", name, ports)] if ports else []
    steps.extend(sharing.steps(spec))
    steps.extend(Step("connect", network.name, f"for {name}") for network in spec.networks)
    if ports:
        steps.append(Step("publish", name, ports))
    if spec.secrets:
        steps.append(Step("write-secrets", name, ", ".join(secret.name for secret in spec.secrets)))
    steps.append(Step("write-bundle", name))
    return [*steps, Step("start", name, reason)]


def _converge(wish: Wish, seen: Observation, wanted: ContainerSpec) -> list[Step]:
    """A container that is the one asked for: its state, then what can be changed or mended while it runs."""
    conflicts.refuse(wanted, wish.given)
    macs.refuse(wanted, seen.mac_holders)
    image = seen.record.image_config if seen.record else ImageConfig()
    upkeep.check_healthy(wish.state, wanted, image)
    steps = live_changes(wish, seen, wanted)
    if wish.state == "stopped":
        return [*steps, *([_stop(wish, for_good=True)] if seen.running else _at_boot(seen, STOPPED))]
    if wish.runs and not seen.running:
        return [*steps, *seen.network_repair, *_start(wish, wanted, image, f"it is {seen.status}")]
    why = _why_again(wish, seen)
    if seen.running and why:
        stop = _stop(wish, reason=why, keep_network=not seen.severed, bring_back=bool(_new_secrets(wish, seen)))
        return [*steps, stop, *seen.network_repair, *_start(wish, wanted, image, why)]
    if not seen.running:
        return steps
    steps += _at_boot(seen, STARTED) if wish.runs else []
    pause = upkeep.pause(wish.paused, seen.vitals.paused, wanted.name)
    return [*upkeep.adopt(seen, wanted.name), *steps, *mend(seen, wanted), *pause]


def _why_again(wish: Wish, seen: Observation) -> str:
    """Why a running container is started again. Programs read their secrets when they start."""
    if wish.restart:
        return "the task says restart"
    news = _new_secrets(wish, seen)
    return "; ".join([*seen.severed, *([f"new content in the secrets {', '.join(news)}"] if news else [])])


def _new_secrets(wish: Wish, seen: Observation) -> tuple[str, ...]:
    """As with any option: a task that leaves secrets out compares none, files of the host among them."""
    return seen.changed_secrets if "secrets" in wish.given and "secrets" not in wish.ignored else ()


def _at_boot(seen: Observation, wanted: str) -> list[Step]:
    """What the restart policy goes by at boot, where it is not written down: a task was killed, or the host was."""
    record = seen.record
    if record is None or record.spec.restart_policy == "no" or record.wanted in ("", wanted):
        return []
    return [Step("write-record", record.name, f"{wanted}, at boot too", detail={"wanted": wanted})]


def differences(seen: Observation, wanted: ContainerSpec, wish: Wish) -> list[str]:
    """Why the container cannot stay: one line for each option that only a new container can have."""
    record = seen.record
    if record is None:
        return []
    found = changes(record.spec, wanted, RECREATE)
    if "mounts" in wish.given and "mounts" not in wish.ignored:
        found += [f"mounts: image {text}" for text in seen.other_images]
    if "image" not in wish.given or "image" in wish.ignored:
        return found
    if seen.image is not None and seen.image.id != record.image_id:
        found.insert(0, f"image: {image_label(record.image_id)} → {image_label(seen.image.id)} ({wish.spec.image})")
    elif renamed(record.spec.image, wish.spec.image):
        if seen.image is None and not wish.presume:
            raise _image_missing(wish.spec.image)
        if seen.image is None or not wish.ignore_image_name:
            found.insert(0, f"image: {record.spec.image} → {wish.spec.image}")
    return found
