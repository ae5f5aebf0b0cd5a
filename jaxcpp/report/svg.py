"""From a matplotlib figure to SVG that can stand in a page: the same bytes every time, under any policy.

matplotlib writes styles, which a strict content security policy refuses; they become attributes here, and
the text takes the font of the page around it.
"""

from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ET
from typing import Any, Final

import matplotlib as mpl
from matplotlib.figure import Figure

SVG: Final = "http://www.w3.org/2000/svg"
_LINK: Final = "{http://www.w3.org/1999/xlink}href"
_DROPPED: Final = {f"{{{SVG}}}metadata", f"{{{SVG}}}style"}
_UNSET: Final = {"font-family", "font", "font-weight", "font-style"}
TEXT: Final = 13.0
"""Size of text [px]."""
SETTINGS: Final[dict[Any, Any]] = {
    "svg.fonttype": "none",
    "font.size": TEXT,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.parse_math": False,  # names of nodes may hold dollar signs
}


def svg_of(figure: Figure, name: str, alt: str) -> str:
    """A figure as an `<svg>` element with `alt` as what it says; `name` sets its ids apart in a page."""
    out = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with mpl.rc_context({**SETTINGS, "svg.hashsalt": name}):
        figure.savefig(out, format="svg", metadata=nothing)
    root = ET.fromstring(out.getvalue())
    _clean(root, name)
    width, height = (re.sub(r"[^0-9.]", "", root.attrib.pop(side)) for side in ("width", "height"))
    root.attrib |= {"viewBox": f"0 0 {float(width):g} {float(height):g}", "role": "img", "aria-label": alt}
    ET.register_namespace("", SVG)
    return ET.tostring(root, encoding="unicode")


def _clean(root: ET.Element, name: str) -> None:
    """Styles to attributes, links without a namespace, and only those ids that are linked to."""
    text = ET.tostring(root, encoding="unicode")
    linked = set(re.findall(r"url\(#([^)]+)\)", text)) | set(re.findall(r'href="#([^"]+)"', text))
    for parent in list(root.iter()):
        for child in [child for child in parent if child.tag in _DROPPED]:
            parent.remove(child)
    for element in root.iter():
        for part in element.attrib.pop("style", "").split(";"):
            key, _, value = (word.strip() for word in part.partition(":"))
            if key == "font":
                element.set("font-size", re.search(r"([0-9.]+)px", value)[1])  # type: ignore[index]
            elif key and key not in _UNSET:
                element.set(key, value.removesuffix("px") if key == "font-size" else value)
        if _LINK in element.attrib:
            element.set("href", element.attrib.pop(_LINK))
        found = element.attrib.pop("id", None)
        if found in linked:
            element.set("id", f"{name}-{found}")
        for key, value in element.attrib.items():
            moved = re.sub(r"url\(#", f"url(#{name}-", value)
            element.set(key, f"#{name}-{value[1:]}" if key == "href" else moved)
