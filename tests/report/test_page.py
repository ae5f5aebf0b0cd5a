"""The page: one file that needs nothing else, in order for those who cannot see it, the same every time."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest

from jaxcpp.report import write_report
from tests.report import runs
from tests.report.runs import every

VOID = {"meta", "br", "link", "img", "hr", "input"}


class Page(HTMLParser):
    """Elements in order, each with its attributes and text, and whether every one is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[int] = []
        self.found: list[tuple[str, dict[str, str | None], list[str]]] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs), []))
        if tag not in VOID:
            self.open.append(len(self.found) - 1)

    def handle_startendtag(self, tag, attrs):
        self.found.append((tag, dict(attrs), []))

    def handle_endtag(self, tag):
        assert self.found[self.open.pop()][0] == tag

    def handle_data(self, data):
        for at in self.open:
            self.found[at][2].append(data)

    def all(self, *tags):
        return [(attrs, " ".join("".join(text).split())) for tag, attrs, text in self.found if tag in tags]

    def one(self, tag):
        (found,) = self.all(tag)
        return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    before = every(folder / "before", first_week="2024-02-19")
    write_report(every(folder / "run"), folder / "out", before=before)
    return folder


@pytest.fixture(scope="module")
def text(folder):
    return (folder / "out" / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(text):
    return Page(text)


def test_the_whole_run_in_a_paragraph(page):
    lede = [text for attrs, text in page.all("p") if attrs.get("class") == "lede"]
    assert lede == [
        (
            "Of 5 contracts, 1 takes a new plan, for 1 just-in-time is already the best, 1 declines, 1 is"
            " not certified and 1 is infeasible. It saves USD 120.00 (3.61% of a chain cost of USD "
            "3,320.00). The vendors pay the retailer USD 30.00 for what the change of plan costs it, and "
            "USD 50.00 in fees; after that they keep USD 70.00, and the retailer is USD 50.00 better off."
            " Every other plan is certified to within 0.001% of its chain cost."
        )
    ]


def test_it_needs_nothing_from_anywhere(text, page):
    assert not page.all("script", "link", "img", "iframe", "object")
    for tag, attrs, _ in page.found:
        assert "style" not in attrs, tag
        assert not [name for name in attrs if name.startswith("on")]
        for name in ("href", "src", "xlink:href"):
            assert str(attrs.get(name, "#")).startswith("#")
    assert set(re.findall(r"https?://[^\"' )]+", text)) == {"http://www.w3.org/2000/svg"}


def test_the_policy_allows_its_own_style_and_nothing_else(page):
    policy = next(
        a["content"] for a, _ in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy"
    )
    style = next("".join(text) for tag, _, text in page.found if tag == "style")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def test_headings_come_in_order(page):
    levels = [int(tag[1]) for tag, _, _ in page.found if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_it_says_what_it_is_to_those_who_do_not_see_it(page):
    assert page.one("html")[0]["lang"] == "en"
    assert page.one("title")[1] == "Supply plans, hand, from 2024-02-26"
    assert page.one("main")
    pictures = page.all("svg")
    assert len(pictures) == 4
    for attrs, _ in pictures:
        assert attrs["role"] == "img"
        assert len(str(attrs["aria-label"])) > 40
    assert len(page.all("figcaption")) == len(pictures)
    assert all(attrs.get("scope") in ("col", "row") for attrs, _ in page.all("th"))
    regions = [attrs for attrs, _ in page.all("div") if attrs.get("class") == "scroll"]
    assert all(attrs["aria-label"] and attrs["tabindex"] == "0" for attrs in regions)
    assert len(regions) == len(page.all("table"))


def test_ids_are_unique_and_links_lead_somewhere(page):
    ids = [attrs["id"] for _, attrs, _ in page.found if "id" in attrs]
    assert len(ids) == len(set(ids))
    for _, attrs, _ in page.found:
        for name, value in attrs.items():
            for target in re.findall(r"url\(#([^)]+)\)", value or "") + re.findall("^#(.+)", value or ""):
                if name == "href" or "url(" in str(value):
                    assert target in ids
        for target in str(attrs.get("aria-labelledby", "")).split():
            assert target in ids


def test_names_cannot_break_the_page(text, page):
    cells = [cell for _, cell in page.all("th")]
    assert 'core:<b>&"wheel$' in cells
    assert "a<script>" in cells
    assert "<script" not in text


def luminance(colour):
    colour = colour.lstrip("#")
    colour = "".join(c * 2 for c in colour) if len(colour) == 3 else colour
    parts = [int(colour[k : k + 2], 16) / 255 for k in (0, 2, 4)]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_text_stands_out_from_what_is_behind_it(page):
    style = next("".join(text) for tag, _, text in page.found if tag == "style")
    named = dict(re.findall(r"--(\w+): (#\w+)", style))
    for ink in ("ink", "soft", "accent"):
        assert contrast(named[ink], "#ffffff") >= 4.5
    shades = re.findall(r"\.([pm]\d) \{ background: (#\w+);(?: color: (#\w+);)? \}", style)
    assert len(shades) == 8
    for _, behind, ink in shades:
        assert contrast(ink or named["ink"], behind) >= 4.5
    drawn = {attrs["fill"] for tag, attrs, _ in page.found if tag == "text" and "fill" in attrs}
    assert drawn
    assert all(contrast(colour, "#ffffff") >= 4.5 for colour in drawn)


def test_the_same_run_gives_the_same_bytes(folder, tmp_path):
    write_report(folder / "run", tmp_path, before=folder / "before")
    for name in ("report.html", "report.json"):
        assert (tmp_path / name).read_bytes() == (folder / "out" / name).read_bytes(), name


def test_a_warm_start_is_named(page, tmp_path):
    assert "none" in [text for _, text in page.all("dd")]
    assert "from the prices of" not in str(page.found)
    found = write_report(every(tmp_path / "run", warm_start="runs/last-night"), tmp_path / "run")
    assert found["warm_start"] == "runs/last-night"
    assert "from the prices of runs/last-night" in (tmp_path / "run" / "report.html").read_text()


def test_a_long_list_is_cut_on_the_page_only(tmp_path):
    rows = [runs.contract(f"v:{k:03d}", "infeasible") for k in range(60)]
    found = write_report(runs.write(tmp_path / "run", rows, []), tmp_path / "run")
    assert len(found["attention"]["infeasible"]) == 60
    page = Path(tmp_path / "run" / "report.html").read_text()
    assert "And 10 more, all of them in report.json." in page
