# SPDX-License-Identifier: GPL-3.0-or-later
"""Layers that nobody should write, and layers that only look so: what each of them has to come to.

The number before a case is that of its kind, and the same in all tables:

====  ======================================================  ======================================================
 1    names that leave, names of the root                     here
 2-4  links that leave, what is written through them          here
 5    hard links                                              here
 6    devices                                                 here; that none works: tests/kernel/test_attacks_dev
 7    kinds of members, sparse files                          here, unit/image/test_tarstream, kernel/image/test_formats
 8    setuid, setgid, sticky                                  kernel/image/test_formats, kernel/test_attacks_files
 9    extended attributes                                     here, kernel/image/test_layers
10    bombs, what stands behind the end                       unit/image/test_corpus, unit/image/test_compression
11    sizes                                                   here, unit/image/test_tarstream
12    too many, too deep, too long                            here
13    one name twice                                          here
14-17 whiteouts                                               here
18    bytes in names                                          here, unit/image/test_tarstream
19    owners                                                  here, unit/image/test_tarstream
20    times                                                   unit/image/test_tarstream, kernel/image/test_layers
21    cut short                                               unit/image/test_corpus
22    digests and sizes that are others                       kernel/image/test_load, kernel/image/test_registry_lies
23-25 manifests, JSON, configurations                         unit/image/test_documents, kernel/image/test_registry_lies
26-27 layouts and archives of images                          kernel/image/test_load
28    names that differ in case or normal form                here
29    a full disk, an end in the middle                       kernel/image/test_image_faults, test_image_life
30    many at once                                            kernel/image/test_image_faults, test_image_life
====  ======================================================  ======================================================

A link's target may be `CANARY`: the test puts the path of a tree there that stands for the host's. Members belong to
whoever runs the test, so that unpacking them needs no root.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

from ansible_collections.mini.containers.plugins.module_utils.image.tarstream import Limits
from rawtar import HUGE, archive, long, member, pax

FILE, HARD, LINK, CHAR, BLOCK, DIR, FIFO = b"0", b"1", b"2", b"3", b"4", b"5", b"6"
CANARY = "{canary}"
UP = "../" * 30
LONG = "/".join(["n" * 255] * 14)
SMALL = Limits(size=2**20, entries=300, remembered=10**4, padding=2**20)


def x(name: str | bytes, data: bytes = b"x", **fields: Any) -> bytes:
    return member(name, FILE, data, **fields)


def link(name: str, target: str, kind: bytes = LINK) -> bytes:
    return member(name, kind, link=target) if len(target) < 100 else long(target, b"K") + member(name, kind, link="x")


def xattr(name: str, value: bytes) -> bytes:
    return pax({f"SCHILY.xattr.{name}": value})


def chain(depth: int, canary: Path) -> list[bytes]:
    """Directories and links that expand to more than PATH_MAX, with `..` at their end."""
    component = "d" * 240
    members, path = [], ""
    for letter in "abcdefghijklmnop"[:depth]:
        members += [
            pax({"path": f"{path}{component}"}),
            member("d", DIR),
            long(f"{path}{letter}"),
            link("l", component),
        ]
        path += f"{letter}/"
    members += [long(f"{path}escape"), link("l", "../" * 30), long(f"{path}escape{canary}/out"), x("out")]
    return members


REFUSED: dict[str, list[bytes]] = {
    "1 dot-dot": [x("../x")],
    "1 dot-dot behind a directory": [x("a/../../x")],
    "1 dot-dot alone": [member("..", DIR)],
    "4 a link to itself": [link("loop", "loop"), x("loop/x")],
    "4 a thousand links": [*(link(f"l{n}", f"l{n + 1}") for n in range(1000)), x("l0/x")],
    "5 hard link to the host": [link("s", CANARY + "/secret", HARD)],
    "5 hard link up": [link("s", UP + "etc/passwd", HARD)],
    "5 hard link to nothing": [link("s", "missing", HARD)],
    "5 hard link to a directory": [member("d", DIR), link("s", "d", HARD)],
    "5 hard link to the root": [link("s", ".", HARD)],
    "5 hard link through a link": [link("d", CANARY), link("s", "d/secret", HARD)],
    "6 overlay whiteout": [member("w", CHAR, major=0, minor=0)],
    "6 no such device": [member("w", CHAR, major=2**20, minor=0)],
    "7 unknown type": [member("n", b"Q")],
    "9 overlay attribute": [xattr("trusted.overlay.opaque", b"y"), member("d", DIR)],
    "9 overlay attribute of a user": [xattr("user.overlay.redirect", b"/"), member("d", DIR)],
    "9 a name of 300 bytes": [xattr("user." + "n" * 300, b"x"), x("f")],
    "9 a value of 65 KiB": [xattr("user.big", b"x" * 66560), x("f")],
    "11 sparse of 8 EiB": [pax({"GNU.sparse.map": "0,1", "GNU.sparse.size": str(2**62)}), x("f")],
    "11 a file of 8 EiB": [member("f", **HUGE)],
    "11 negative": [member("f", size=-512)],
    "12 too many entries": [x(f"f{n}") for n in range(301)],
    "12 too deep": [pax({"path": "d/" * 100_000}), x("f")],
    "12 too many directories on the way": [pax({"path": f"{n}/" + "d/" * 150 + "f"}) + x("f") for n in range(3)],
    "12 names of directories": [b"".join((pax({"path": f"{n}" + "d" * 200}), member("d", DIR))) for n in range(90)],
    "12 too much": [x(f"f{n}", bytes(2**19)) for n in range(3)],
    "13 below a file": [x("f"), x("f/g")],
    "14 whiteout of nothing": [x(".wh.")],
    "14 whiteout of the directory": [x("d/.wh..")],
    "14 whiteout of the parent": [x("d/.wh...")],
    "14 whiteout with a way out": [x("a/.wh.x/../../../y")],
    "14 inside of a whiteout": [x(".wh.d/f")],
    "18 256 bytes": [pax({"path": "n" * 256}), x("f")],
    "18 a path of 4097 bytes": [pax({"path": "/".join(["n" * 255] * 16) + "/n"}), x("f")],
    "18 NUL": [pax({"path": b"a\0b"}), x("f")],
    "19 uid -1": [x("f", uid=-1)],
    "19 uid 2^32": [x("f", uid=2**32)],
    "19 uid 2^32-1": [x("f", uid=2**32 - 1)],
    "19 gid huge": [pax({"gid": "9" * 18}), x("f")],
}

# What is there afterwards: a file's content, a link's "-> target", or a directory's "".
Tree = dict[str, str]
PLACED: dict[str, tuple[list[bytes], Tree]] = {
    "1 leading slashes": ([x("/a"), x("//b"), x("./c"), x("d/./../e")], {"a": "x", "b": "x", "c": "x", "e": "x"}),
    "1 the root itself": ([member(".", DIR, mode=0o700), member("./", DIR), x("a")], {"a": "x"}),
    "2 links verbatim": (
        [link("a", "/usr/lib"), link("b", UP + "etc"), link("c", CANARY)],
        {"a": "-> /usr/lib", "b": "-> " + UP + "etc", "c": "-> " + CANARY},
    ),
    "3 through an absolute link": (
        [link("d", "/host"), member("host", DIR), x("d/f")],
        {"d": "-> /host", "host": "", "host/f": "x"},
    ),
    "3 through a link up": (
        [link("d", UP + "host"), member("host", DIR), x("d/f")],
        {"d": "-> " + UP + "host", "host": "", "host/f": "x"},
    ),
    "3 through a link to nothing": (
        [link("d", "/new/place"), x("d/f")],
        {"d": "-> /new/place", "new": "", "new/place": "", "new/place/f": "x"},
    ),
    "3 through a link in the middle": (
        [member("usr/lib", DIR), link("lib", "usr/lib"), x("lib/sub/f")],
        {"usr": "", "usr/lib": "", "lib": "-> usr/lib", "usr/lib/sub": "", "usr/lib/sub/f": "x"},
    ),
    "5 hard link to a link": (
        [link("a", CANARY + "/secret"), link("b", "a", HARD)],
        {"a": "-> " + CANARY + "/secret", "b": "-> " + CANARY + "/secret"},
    ),
    "5 hard link": ([x("d/a", b"one"), link("b", "/d/../d/a", HARD)], {"d": "", "d/a": "one", "b": "one"}),
    "5 hard link to itself": ([x("a", b"one"), link("a", "a", HARD)], {"a": "one"}),
    "7 contiguous and global": ([pax({"path": "no"}, kind=b"g"), member("a", b"7", b"one")], {"a": "one"}),
    "7 sparse": (
        [pax({"GNU.sparse.map": "2,3", "GNU.sparse.size": "6"}), member("a", FILE, b"one")],
        {"a": "\0\0one\0"},
    ),
    "13 file, file": ([x("a", b"one"), x("a", b"two")], {"a": "two"}),
    "13 file, directory": ([x("a"), member("a", DIR)], {"a": ""}),
    "13 directory, link": ([member("a", DIR), x("a/b/c"), link("a", CANARY)], {"a": "-> " + CANARY}),
    "13 link, link": ([link("a", CANARY), link("a", "b")], {"a": "-> b"}),
    "13 directory, link, file": ([member("a", DIR), x("a/b"), link("a", CANARY), x("a", b"two")], {"a": "two"}),
    "13 link, file": ([link("a", CANARY + "/secret"), x("a", b"two")], {"a": "two"}),
    "13 link, directory": ([link("a", CANARY), member("a", DIR), x("a/f")], {"a": "", "a/f": "x"}),
    "13 directory, directory": ([member("a", DIR), x("a/f"), member("a", DIR, mode=0o700)], {"a": "", "a/f": "x"}),
    "13 hard link, then its target anew": (
        [x("a", b"one"), link("b", "a", HARD), x("a", b"two")],
        {"a": "two", "b": "one"},
    ),
    "14 whiteouts where nothing is": (
        [x(".wh.gone"), x("no/.wh.x"), x("no/.wh..wh..opq"), x("f"), x("f/.wh.x")],
        {"f": "x"},
    ),
    "14 whiteouts at the bottom": ([x(".wh.gone"), x("d/.wh..wh..opq"), x("d/f")], {"d": "", "d/f": "x"}),
    "16 aufs's own": ([x(".wh..wh.plnk/7"), x(".wh..wh.aufs"), x("a")], {"a": "x"}),
    "18 a path of 3583 bytes": (
        [pax({"path": LONG}), x("f")],
        {**{LONG[: 256 * n - 1]: "" for n in range(1, 14)}, LONG: "x"},
    ),
    "18 names": (
        [pax({"path": name}) + x("f") for name in ("n" * 255, "a\nb", "%s", "\u202ex", b"\xff\xfe", b"\xc0\xaf")],
        {
            **dict.fromkeys(("n" * 255, "a\nb", "%s", "\u202ex"), "x"),
            os.fsdecode(b"\xff\xfe"): "x",
            os.fsdecode(b"\xc0\xaf"): "x",
        },
    ),
    "28 case and normal forms": (
        [x("A"), x("a"), x("\u00e9"), x("e\u0301")],
        dict.fromkeys(("A", "a", "\u00e9", "e\u0301"), "x"),
    ),
}


class Layered(NamedTuple):
    """Layers, bottom to top, and what a container sees of them; nothing when the last one is refused."""

    layers: list[list[bytes]]
    seen: Tree | None


BASE = [
    member("d", DIR),
    x("d/a"),
    x("d/b"),
    member("usr", DIR),
    member("usr/bin", DIR),
    link("bin", "usr/bin"),
    x("f"),
]
SEEN: Tree = {"d": "", "d/a": "x", "d/b": "x", "usr": "", "usr/bin": "", "bin": "-> usr/bin", "f": "x"}


def _seen(*gone: str, **new: str) -> Tree:
    """`BASE` without some names, with others."""
    return {**{path: look for path, look in SEEN.items() if path not in gone}, **new}


def _on_base(*members: bytes, seen: Tree | None) -> Layered:
    return Layered([BASE, list(members)], seen)


LAYERED: dict[str, Layered] = {
    "3 through a link of the layer below": _on_base(x("bin/sh"), seen=_seen(**{"usr/bin/sh": "x"})),
    "3 through a link up of the layer below": Layered(
        [[link("out", UP + "d")], [x("out/f")]], {"out": "-> " + UP + "d", "d": "", "d/f": "x"}
    ),
    "3 through a link into the layer below": _on_base(link("l", "/d"), x("l/c"), seen=_seen(l="-> /d", **{"d/c": "x"})),
    "4 a loop of links in the layer below": Layered([[link("a", "b"), link("b", "a")], [x("a/f")]], None),
    "5 hard link to a file below": _on_base(link("g", "f", HARD), seen=_seen(g="x")),
    "5 hard link to a file below, through a link": _on_base(
        x("d/new"), link("bin/g", "bin/../d/a", HARD), seen=_seen(**{"d/new": "x", "usr/bin/g": "x"})
    ),
    "5 hard link to a link below": _on_base(link("g", "bin", HARD), seen=_seen(g="-> usr/bin")),
    "5 hard link to a directory below": _on_base(link("g", "d", HARD), seen=None),
    "5 hard link to a file that is hidden": _on_base(x(".wh.f"), link("g", "f", HARD), seen=None),
    "5 hard link to a file below that is then hidden": _on_base(
        link("g", "f", HARD),
        link("d/g", "d/a", HARD),
        x(".wh.f"),
        x("d/.wh..wh..opq"),
        seen=_seen("f", "d/a", "d/b", g="x", **{"d/g": "x"}),
    ),
    "13 a file in place of a directory below": _on_base(x("d"), seen=_seen("d/a", "d/b", d="x")),
    "13 a directory in place of a file below": _on_base(x("f/g"), seen=None),
    "13 a directory in place of a link below": _on_base(
        member("bin", DIR), x("bin/sh"), seen=_seen(bin="", **{"bin/sh": "x"})
    ),
    "13 a directory, a file and a directory": _on_base(
        x("d"), member("d", DIR), x("d/c"), seen=_seen("d/a", "d/b", **{"d/c": "x"})
    ),
    "14 one file": _on_base(x("d/.wh.a"), seen=_seen("d/a")),
    "14 a directory": _on_base(x(".wh.d"), seen=_seen("d", "d/a", "d/b")),
    "14 through a link": _on_base(x("bin/.wh.sh"), x("bin/ls"), x("usr/bin/.wh.ls"), seen=_seen(**{"usr/bin/ls": "x"})),
    "14 what is there again": _on_base(x(".wh.f"), x("f", b"two"), seen=_seen(f="two")),
    "14 what was there before": _on_base(x("f", b"two"), x(".wh.f"), seen=_seen(f="two")),
    "14 where nothing is": _on_base(x(".wh.none"), x("d/.wh.none"), x("no/.wh.none"), x("f/.wh.none"), seen=SEEN),
    "14 a link's name": _on_base(x(".wh.bin"), seen=_seen("bin")),
    "14 in a directory that becomes a loop of links": _on_base(
        x("d/.wh.a"), link("d", "d"), seen=_seen("d/a", "d/b", d="-> d")
    ),
    "15 before": _on_base(x("d/.wh..wh..opq"), x("d/c"), seen=_seen("d/a", "d/b", **{"d/c": "x"})),
    "15 after": _on_base(x("d/c"), x("d/.wh..wh..opq"), seen=_seen("d/a", "d/b", **{"d/c": "x"})),
    "15 alone": _on_base(x("d/.wh..wh..opq"), seen=_seen("d/a", "d/b")),
    "15 on a missing directory": _on_base(x("no/.wh..wh..opq"), seen=SEEN),
    "15 in the root": _on_base(x(".wh..wh..opq"), x("new"), member("d", DIR), seen={"new": "x", "d": ""}),
    "15 through a link": _on_base(link("l", "d"), x("l/.wh..wh..opq"), seen=_seen("d/a", "d/b", l="-> d")),
    "17 a file in place of a directory, whiteouts below": _on_base(
        x("d"), x("d/.wh.a"), seen=_seen("d/a", "d/b", d="x")
    ),
    "17 gone and there again": _on_base(
        x(".wh.d"), member("d", DIR), x("d/c"), seen=_seen("d/a", "d/b", **{"d/c": "x"})
    ),
    "17 gone in one layer, there again in the next": Layered(
        [BASE, [x(".wh.d")], [x("d/c")]], _seen("d/a", "d/b", **{"d/c": "x"})
    ),
    "17 a whiteout in a directory that only this layer has": _on_base(
        member("new", DIR), x("new/.wh.a"), x("new/b"), seen=_seen(new="", **{"new/b": "x"})
    ),
}


def aimed(members: list[bytes], canary: Path) -> bytes:
    """The archive with its links aimed at the canary."""
    return archive(*(_aim(item, str(canary)) for item in members))


def _aim(item: bytes, target: str) -> bytes:
    if CANARY.encode() not in item:
        return item
    name = item[:100].rstrip(b"\0")
    wanted = item[157:257].rstrip(b"\0").replace(CANARY.encode(), target.encode())
    return long(wanted, b"K") + member(name, item[156:157], link="x")


def tree(root: Path, canary: str = "") -> Tree:
    """A directory in the terms of the tables."""
    return {os.path.relpath(path, root): _show(path).replace(canary or "\1", CANARY) for path in root.rglob("*")}


def _show(path: Path) -> str:
    if path.is_symlink():
        return "-> " + os.readlink(path)
    return path.read_text() if path.is_file() else ""
