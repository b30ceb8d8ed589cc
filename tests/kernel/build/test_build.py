# SPDX-License-Identifier: GPL-3.0-or-later
"""Images built from Containerfiles."""

from __future__ import annotations

from typing import Any


def test_thin(builder: Any) -> None:
    builder.write(hello="hello\n")
    text = 'FROM scratch\nENV A=1\nCOPY hello /bin/\nCMD ["/bin/hello"]\n'
    assert builder.actions(text, check=True) == ["copy", "name"]
    assert builder.actions(text) == ["copy", "name"]
    assert builder.actions() == []
    image = builder.image()
    assert image.config.command == ("/bin/hello",)
    assert image.config.env == {"A": "1"}
    assert builder.tree() == ["40755 0:0 bin", "100644 0:0 bin/hello"]


def test_run(builder: Any) -> None:
    text = "FROM box\nENV A=1\nRUN echo $A > /a && id -u >> /a\nCMD cat /a\n"
    assert builder.actions(text) == ["run", "name"]
    assert builder.actions() == []
    assert builder.top().joinpath("a").read_text() == "1\n0\n"
    assert builder.host.run(None, image="made").stdout == "1\n0\n"
