"""Put the page together: one HTML file that needs nothing beside it and may reach for nothing.

Its policy allows no network at all, and only the one script and the one style sheet whose checksums it names:
text of a film, a script or a note cannot become code.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from html import escape
from importlib.resources import files
from typing import Any

MARK = '<meta name="generator" content="dubkit report">'  # by which a page of ours is known


def build(data: Mapping[str, Any], clips: Iterable[tuple[str, bytes]], title: str) -> Iterator[str]:
    """The parts of the page in order; ``clips`` are names of shots and MP4 files."""
    assets = files("dubkit.report") / "assets"
    names = sorted(path.name for path in assets.iterdir())
    style = (assets / "page.css").read_text(encoding="utf-8")
    script = "\n".join(
        (assets / name).read_text(encoding="utf-8") for name in names if name.endswith(".js")
    )
    page = (assets / "page.html").read_text(encoding="utf-8")
    parts = {
        "policy": _policy(script, style),
        "title": escape(title),
        "style": style,
        "script": script,
        "data": as_json(data),
    }
    while page:
        before, _, rest = page.partition("{{")
        yield before
        name, _, page = rest.partition("}}")
        if name == "clips":
            yield from (_clip(*clip) for clip in clips)
        elif name:
            yield parts[name]


def as_json(value: object) -> str:
    """JSON that is safe inside a script element, whatever strings it holds."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"), sort_keys=True)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _clip(name: str, video: bytes) -> str:
    coded = base64.b64encode(video).decode("ascii")
    return f'<script type="text/plain" id="clip-{escape(name)}">{coded}</script>\n'


def _policy(script: str, style: str) -> str:
    rules = {
        "default-src": "'none'",
        "script-src": _checksum(script),
        "style-src": _checksum(style),
        "img-src": "data:",
        "media-src": "blob:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in rules.items())


def _checksum(text: str) -> str:
    return f"'sha256-{base64.b64encode(sha256(text.encode()).digest()).decode('ascii')}'"
