"""Pages made of invented shots: what the browser tests look at."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from dubkit.media.process import find_program, run
from dubkit.planning.shot_plan import jpeg
from dubkit.review.report_page import build

FILM = "f" * 64
PEOPLE = ("Anna", "person_2")
STATES = ("dubbed", "dubbed", "dubbed", "untouched", "warned", "kept", "failed", "waiting")
ORDER = ("failed", "kept", "warned", "dubbed", "untouched", "waiting")
RISKS = ("low", "low", "medium", "none", "high", "medium", "high", "low")


def thumbnail(number: int) -> str:
    """A small picture that differs from shot to shot."""
    picture = np.zeros((117, 208, 3), np.uint8)
    picture[:] = cv2.cvtColor(
        np.array([[[number * 37 % 180, 90, 120]]], np.uint8), cv2.COLOR_HSV2RGB
    )
    cv2.circle(picture, (104, 50), 26, (224, 188, 160), -1)
    cv2.ellipse(picture, (104, 120), (48, 40), 0, 180, 360, (60, 66, 84), -1)
    return base64.b64encode(jpeg(picture)).decode()


_THUMBS = [thumbnail(number) for number in range(12)]


def shot(number: int, **changes: Any) -> dict[str, Any]:
    """One invented shot of 75 frames."""
    start = number * 3.0
    phase = [math.sin(frame / 5 + number) for frame in range(75)]
    state = STATES[number % len(STATES)]
    faces = 0 if state == "untouched" else 1
    table: dict[str, Any] = {
        "name": f"{75 * number:07d}-{75 * number + 75:07d}",
        "start": start,
        "end": start + 3,
        "frames": 75,
        "state": state,
        "why": "generate: not enough memory" if state == "failed" else "",
        "rank": 1000 * (6 - ORDER.index(state)),
        "rendered": state in ("dubbed", "warned", "kept"),
        "faces": faces,
        "dubbed_faces": faces,
        "who": "face 0: the only face that can be dubbed" if faces else "",
        "people": [PEOPLE[number % 2]] if faces else [],
        "square": [0.2, 0.1, 0.4, 0.8] if faces else None,
        "box": [0.35, 0.2, 0.65, 0.7] if faces else None,
        "said": [["The", 2, 8], ["line", 8, 14], ["is", 14, 18], ["said.", 18, 30]],
        "face": {
            "width": 80.0 + number % 90,
            "share": 0.2,
            "yaw": 4,
            "pitch": 2,
            "confidence": 0.97,
        }
        if faces
        else None,
        "speech": {"seconds": 2.1, "phonemes": 21, "labials": 3},
        "focus": 0.9,
        "risk": RISKS[number % len(RISKS)],
        "reasons": [{"kind": "tiny", "level": "high", "text": f"tiny: {30 + number % 9} px wide"}]
        if RISKS[number % len(RISKS)] == "high"
        else [],
        "words": f"the line of shot {number} is said",
        "notes": [],
        "thumb": _THUMBS[number % len(_THUMBS)],
        "measures": [],
        "seconds": {"faces": 0.4, "timing": 0.01, "generate": 1.2},
        "phones": [["p", 10, 14, "closure"], ["a", 14, 30, "vowel"], ["sil", 30, 75, "silence"]],
        "original": [round(60 + 50 * value) for value in phase],
        "dubbed": [round(50 + 40 * value) for value in reversed(phase)],
        "untouched": [[40, 50, "turned away"]],
    }
    return {**table, **changes}


def clock(rate: tuple[int, int] = (25, 1), *, drop: bool = False, **more: Any) -> dict[str, Any]:
    """How an invented film counts its frames."""
    facts = {"rate": list(rate), "drop": drop, "first": 0, "lines": 1, "frames": 10**6}
    return {**facts, "even": True, **more}


def film_video(path: Path, seconds: float, rate: int = 25, size: str = "160x120") -> Path:
    """A red original beside a blue dub, 300 Hz at the left and 900 Hz at the right."""
    half = f"size={size}:rate={rate}:duration={seconds}"
    tones = [f"sine=frequency={hertz}:duration={seconds}" for hertz in (300, 900)]
    inputs = [f"color=red:{half}", f"color=blue:{half}", *tones]
    mixed = "[0:v][1:v]hstack[v];[2:a][3:a]join=inputs=2:channel_layout=stereo[a]"
    argv = [str(find_program("ffmpeg")), "-v", "error", "-y"]
    argv += [word for text in inputs for word in ("-f", "lavfi", "-i", text)]
    argv += ["-filter_complex", mixed, "-map", "[v]", "-map", "[a]", "-c:v", "libx264", "-g", "25"]
    argv += ["-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac", "-aac_ms", "0"]
    run([*argv, "-movflags", "+faststart", str(path)])
    return path


def page(
    path: Path,
    shots: Sequence[dict[str, Any]],
    *,
    name: str = "film.mp4",
    film: Path | None = None,
    facts: dict[str, Any] | None = None,
    version: str = "0",
    overview: str = "",
    **clips: bytes,
) -> Path:
    """Write a page; ``clips`` are MP4 files by ``shot_NAME``, ``film`` is that of the whole film."""
    data = {
        "version": version,
        "overview": overview,
        "film": {
            "name": name,
            "dub": "dub.wav",
            "job": "film.dubbed",
            "video": f"/films/{name}",
            "audio": "/films/dub.wav",
            "script": "",
            "output": "/films/film.dubbed.mp4",
            "sha256": FILM,
            "finished": True,
            "seconds": 3.0 * len(shots),
            "width": 1280,
            "height": 720,
            "rate": "25",
            "speech": "en, by script, 812 words",
            "clock": clock(),
            "proxy": None,
            "people": [
                {"name": who, "seconds": 12.0, "dubbed": 9.0, "dub": True, "shots": 3}
                for who in PEOPLE
            ],
            **(facts or {}),
        },
        "shots": list(shots),
        "stages": [
            {"name": "generate", "done": len(shots), "seconds": 812.5, "engines": ["warp 1"]}
        ],
        "weights": [
            {
                "name": "tc.safetensors",
                "license": "Apache-2.0",
                "paid": True,
                "source": "in the package",
                "digest": "41e8",
            }
        ],
        "warnings": ["a small face"],
        "presets": ["broadcast", "preview"],
        "videos": {"count": len(clips), "summary": "The worst shots have a video.", "film": ""},
        "waves": {"rate": 50, "dub": base64.b64encode(bytes(range(256)) * 8).decode()},
    }
    shown = [(clip.removeprefix("shot_").replace("_", "-"), video) for clip, video in clips.items()]
    path.write_text("".join(build(data, shown, name, film)), encoding="utf-8")
    return path
