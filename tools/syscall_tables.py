#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write plugins/module_utils/linux/syscalls_*.py: the numbers of the system calls, by name.

Numbers are part of the kernel's interface and never change; new kernels only add some. They are taken from the list
that libseccomp keeps of all architectures (https://github.com/seccomp/libseccomp, src/syscalls.csv, made from the
kernel's own tables), because the headers installed on a machine are as old as its distribution. What headers there
are is compared as well: `asm/unistd_64.h`, `asm/unistd_32.h` and, with a C compiler, `asm-generic/unistd.h`.

    tools/syscall_tables.py syscalls.csv            write the tables
    tools/syscall_tables.py --check syscalls.csv    say whether they are as this script would write them
    tools/syscall_tables.py --headers               say whether the headers of this machine agree with them
"""

from __future__ import annotations

import csv
import re
import runpy
import subprocess
import sys
from pathlib import Path

TARGET = Path(__file__).resolve().parents[1] / "plugins" / "module_utils" / "linux"
WIDTH = 118
# File → name of the table, column of the list, what it is.
TABLES = {
    "syscalls_amd64.py": (("X86_64", "x86_64", "64-bit"), ("X86", "x86", "32-bit (i386)")),
    "syscalls_arm64.py": (("AARCH64", "aarch64", "64-bit"), ("ARM", "arm", "32-bit (EABI)")),
}
HEADER = '''\
# SPDX-License-Identifier: GPL-3.0-or-later
"""The system calls of {machine}, {what}, up to Linux {version}. Written by tools/syscall_tables.py.

A number is followed by the names of the calls from there on.
"""

from __future__ import annotations
'''
INCLUDES = {
    "X86_64": ("asm/unistd_64.h", ()),
    "X86": ("asm/unistd_32.h", ()),
    "AARCH64": (
        "asm-generic/unistd.h",
        ("-D__BITS_PER_LONG=64", "-D__ARCH_WANT_RENAMEAT", "-D__ARCH_WANT_NEW_STAT", "-D__ARCH_WANT_SET_GET_RLIMIT")
        + ("-D__ARCH_WANT_TIME32_SYSCALLS", "-D__ARCH_WANT_SYS_CLONE3", "-D__ARCH_WANT_MEMFD_SECRET"),
    ),
}
# Not calls: where an architecture's own begin, and how many there are.
NO_CALLS = ("arch_specific_syscall", "syscalls")


def parse(text: str) -> dict[str, int]:
    """A table as it is written, as name → number."""
    found, number = {}, 0
    for word in text.split():
        if word.isdigit():
            number = int(word)
        else:
            found[word] = number
            number += 1
    return found


def rendered(numbers: dict[str, int]) -> str:
    """The table: full lines, each begun by its first number, and a number after every gap."""
    lines, line, expected = [], "", -1
    for name, number in sorted(numbers.items(), key=lambda item: item[1]):
        word = f" {name}" if number == expected else f" {number} {name}"
        if not line or len(line) + len(word) > WIDTH:
            lines.append(line)
            line, word = "", f"{number} {name}"
        line += word
        expected = number + 1
    return "\n".join([*lines[1:], line])


def files(source: Path) -> dict[Path, str]:
    """What every file has to be."""
    with source.open(encoding="ascii", newline="") as handle:
        rows = list(csv.reader(handle))
    head = rows[0]
    version = head[0].split("(v")[1].split()[0]
    version = re.sub(r"\.0(?=-|$)", "", version)
    found = {}
    for file, tables in TABLES.items():
        machine = file[len("syscalls_") : -len(".py")]
        what = " and ".join(kind for _name, _column, kind in tables)
        parts = [HEADER.format(machine=machine, what=what, version=version)]
        for name, column, _kind in tables:
            index = head.index(column)
            numbers = {row[0]: int(row[index]) for row in rows[1:] if row[index].isdigit()}
            parts.append(f'\n{name} = """\n{rendered(numbers)}\n"""\n')
        found[TARGET / file] = "".join(parts)
    return found


def header_numbers(include: str, defines: tuple[str, ...]) -> dict[str, int]:
    """The numbers that a header of this machine defines, by the C preprocessor."""
    source = f"#include <{include}>\n"
    macros = subprocess.run(
        ["cc", "-E", "-dM", *defines, "-"], input=source, capture_output=True, text=True, check=True
    )
    defined = dict(re.findall(r"^#define (__NR\S+) (\S+)$", macros.stdout, re.MULTILINE))
    # In the generic header __NR_fcntl is __NR3264_fcntl, which is a number.
    resolved = {name: defined.get(value, value) for name, value in defined.items()}
    calls = {name[len("__NR_") :]: value for name, value in resolved.items() if name.startswith("__NR_")}
    return {name: int(value) for name, value in calls.items() if value.isdigit() and name not in NO_CALLS}


def differing_headers() -> list[str]:
    """Every number of this machine's headers that the tables have otherwise, or not at all."""
    found = []
    for file, tables in TABLES.items():
        texts = runpy.run_path(str(TARGET / file))
        for name, _column, _kind in tables:
            if name not in INCLUDES:
                continue
            known = parse(texts[name])
            theirs = header_numbers(*INCLUDES[name])
            found += [
                f"{name}: {call} is {n}, not {known.get(call)}" for call, n in theirs.items() if known.get(call) != n
            ]
            sys.stdout.write(f"{name}: {len(theirs)} numbers compared\n")
    return found


def main(arguments: list[str]) -> int:
    """Write, or compare."""
    if arguments == ["--headers"]:
        wrong = differing_headers()
    else:
        check = arguments[0] == "--check"
        wanted = files(Path(arguments[-1]))
        wrong = [f"{path} is out of date" for path, text in wanted.items() if check and path.read_text() != text]
        for path, text in wanted.items():
            if not check:
                path.write_text(text)
    sys.stdout.writelines(f"{line}\n" for line in wrong)
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
