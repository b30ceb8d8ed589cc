# SPDX-License-Identifier: GPL-3.0-or-later
"""The report of all hosts: complete, self-contained, and drawn by a browser that has no network."""

from __future__ import annotations

import json
import re
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from .conftest import REPOSITORY

REPORT = REPOSITORY / "playbooks" / "report.yml"
HOSTILE = "</title></svg><script>alert(1)</script>\"'&<img src=x onerror=alert(2)>"
BOOK = """
- hosts: mini_hosts
  gather_facts: false
  roles: [mini.containers.mini_stack]
"""
STACK = """
mini_stack_networks:
  - {name: mesh, driver: vxlan, subnet: 10.50.0.0/16}
  - {name: front}
  - {name: data, internal: true}
mini_stack_images: [{name: box, src: /srv/box, env: {PATH: /bin}}]
mini_stack_containers:
  - name: web
    image: box
    command: [sh, -c, 'echo ready > /www/index.html; exec httpd -f -h /www']
    networks: [{name: front}, {name: mesh}]
    published_ports: ["8080:80", "8443:443"]
    memory: 64M
    cpus: 0.5
    pids_limit: 50
    stop_signal: KILL
    healthcheck: {test: wget -q -O /dev/null http://127.0.0.1/, interval: 1s}
  - name: store
    image: box
    command: sleep 100000
    networks: [{name: mesh}, {name: data}]
    memory: 8M
    labels: {note: HOSTILE}
    stop_signal: KILL
  - name: job
    image: box
    command: "true"
    state: stopped
    networks: [{name: data}]
"""


class Page(HTMLParser):
    """The tags of a page, their attributes and its texts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.texts.append(data)


@pytest.fixture(scope="module")
def page(fleet, play, tmp_path_factory) -> Path:
    """The report of hosts of which one does not answer, one has drifted, and is to have a label that means ill."""
    directory = tmp_path_factory.mktemp("report")
    made, stack, wanted = (directory / name for name in ("report.html", "stack.yml", "wanted.yml"))
    stack.write_text(STACK.replace("HOSTILE", "harmless"))
    wanted.write_text(STACK.replace("HOSTILE", json.dumps(HOSTILE)))
    play(BOOK, "-e", f"@{stack}")
    fleet.on("h1", "nft flush ruleset")
    fleet.cut("h3")
    play(REPORT, "-e", f"@{wanted}", "-e", f"report_path={made}")
    fleet.mend("h3")
    yield made
    play(BOOK, "-e", f"@{stack}", mini_stack_state="absent")


def test_it_says_what_there_is(page):
    words = " ".join(Page(page.read_text()).texts)
    for what in (
        "h1",
        "h2",
        "h3",
        "did not answer",
        "web",
        "store",
        "job",
        "8080 → 80/tcp",
        "10.50.11.0/24 of 10.50.0.0/16",
    ):
        assert what in words, what
    assert "8080/tcp is missing" in words
    assert "<script>alert(1)</script>" in words, "as text"
    assert re.search(r"[\d.]+ [KM]B of 64.00 MB", words)


def test_it_needs_nothing_and_runs_nothing(page):
    text = page.read_text()
    found = Page(text)
    assert not {"script", "img", "iframe", "object", "link", "form", "base"} & set(found.tags)
    assert not [name for name, _value in found.attributes if name.startswith("on") or name in ("src", "href", "srcset")]
    assert not re.search(r"url\(|@import|https?://", text)


def test_a_browser_draws_it(page, tmp_path):
    picture = screenshot(page, tmp_path / "page.png", "1200,1600")
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert picture.stat().st_size > 20_000, "an empty page is smaller"
    assert screenshot(page, tmp_path / "phone.png", "390,2400").stat().st_size > 20_000


def screenshot(page: Path, picture: Path, size: str) -> Path:
    """What a browser shows of the page."""
    browser = ["chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    profile = f"--user-data-dir={picture.parent}/profile"
    command = [*browser, profile, f"--window-size={size}", f"--screenshot={picture}", f"file://{page}"]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    return picture
