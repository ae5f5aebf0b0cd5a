"""The page in a real browser: nothing fetched, nothing on the console, nothing wider than a phone."""

from __future__ import annotations

import functools
import html
import http.server
import json
import re
import shutil
import subprocess
import threading
from typing import ClassVar

import pytest

from jaxcpp.report import write_report
from tests.report.runs import every

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="there is no Chromium here (Debian: apt-get install chromium)"
)
WIDTHS = (320, 390, 768, 1280)

# The page in frames of some widths; what the browser made of each ends up in the text of the frame's page.
FRAMES = """<!doctype html><title>frames</title><pre id="found"></pre><script>
const found = {}, widths = %s;
for (const width of widths) {
  const frame = document.createElement("iframe");
  frame.width = width; frame.height = 900; frame.src = "%s";
  frame.onload = () => {
    const page = frame.contentDocument, root = page.documentElement;
    found[width] = {
      wide: root.scrollWidth, seen: root.clientWidth, title: page.title,
      background: frame.contentWindow.getComputedStyle(page.querySelector("header")).borderTopColor,
      pictures: [...page.querySelectorAll("svg")].map(svg => svg.getBoundingClientRect().width),
      texts: [...page.querySelectorAll("svg text")].every(text => {
        const box = text.getBoundingClientRect(), all = text.closest("svg").getBoundingClientRect();
        return box.left >= all.left - 1 && box.right <= all.right + 1;
      }),
    };
    document.getElementById("found").textContent = JSON.stringify(found);
  };
  document.body.append(frame);
}
</script>"""


class Recording(http.server.SimpleHTTPRequestHandler):
    """Serves a folder and keeps what was asked for."""

    asked: ClassVar[list[str]] = []

    def do_GET(self):
        type(self).asked.append(self.path)
        super().do_GET()

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    run = every(folder / "run")
    write_report(run, folder, before=run)
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Recording, directory=str(folder))
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield folder, f"http://127.0.0.1:{server.server_port}", Recording.asked
    server.shutdown()
    server.server_close()


def browse(address, profile, *words):
    """What Chromium prints, and what pages said on the console."""
    command = [
        CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--enable-logging=stderr",
        f"--user-data-dir={profile}", "--virtual-time-budget=10000", *words, address,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    return done.stdout, re.findall(r"CONSOLE[^\]]*\] (.*)", done.stderr)


def frames(folder, host, name, profile):
    (folder / "frames.html").write_text(FRAMES % (list(WIDTHS), name))
    shown, console = browse(f"{host}/frames.html", profile, "--dump-dom")
    return json.loads(html.unescape(re.findall(r'id="found">(.*?)</pre>', shown)[0])), console


@pytest.mark.slow
def test_at_every_width(served, tmp_path):
    folder, host, asked = served
    asked.clear()
    found, console = frames(folder, host, "report.html", tmp_path)
    assert console == []
    assert set(asked) <= {"/frames.html", "/report.html", "/favicon.ico"}
    for width in WIDTHS:
        page = found[str(width)]
        assert page["title"] == "Supply plans, hand, from 2024-02-26"
        assert page["wide"] <= page["seen"] <= width
        assert page["background"] == "rgb(11, 92, 107)"  # its own style is in force
        assert len(page["pictures"]) == 4
        assert min(page["pictures"]) > 250
        assert page["texts"]


@pytest.mark.slow
def test_what_the_policy_forbids_would_be_seen(served, tmp_path):
    folder, host, asked = served
    text = (folder / "report.html").read_text()
    bad = '<p style="width: 3000px">wide</p><img src="other.png" alt=""><pre>' + "x" * 900 + "</pre></main>"
    (folder / "bad.html").write_text(text.replace("</main>", bad))
    found, console = frames(folder, host, "bad.html", tmp_path)
    assert any("Content Security Policy" in line for line in console)
    assert "/other.png" not in asked
    assert found["390"]["wide"] > found["390"]["seen"]


@pytest.mark.slow
def test_it_prints(served, tmp_path):
    _, host, _ = served
    browse(f"{host}/report.html", tmp_path / "profile", f"--print-to-pdf={tmp_path / 'page.pdf'}")
    printed = (tmp_path / "page.pdf").read_bytes()
    assert printed.startswith(b"%PDF-")
    assert 1 <= len(re.findall(rb"/Type\s*/Page\b", printed)) <= 8
