"""The demo: two real people and a picture without a face, a German dub for them, and both films side by side.

Film, dub and script lie in ``assets``; their credits are in its ``README.md``.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from dubkit.errors import OutputError
from dubkit.media.process import find_program, run
from dubkit.planning.contact_sheet import BACKGROUND, INK, draw_text

if TYPE_CHECKING:
    from dubkit.records import Picture

ASSETS = Path(__file__).resolve().parent / "assets"
LANGUAGE = "de"
WIDTH = 480  # of the film, in pixels
_STRIP = 32  # height of the line under the pictures


@dataclass(frozen=True, slots=True)
class DemoFiles:
    """The files of a demo in its folder; the last two are made."""

    film: Path
    dub: Path
    script: Path
    dubbed: Path
    side_by_side: Path


def copy_demo(folder: Path) -> DemoFiles:
    """Put film, dub and script into ``folder``, which is made. Raises OutputError where that is impossible."""
    names = ("demo.mp4", "demo.de.flac", "demo.de.txt", "demo.dubbed.mp4", "demo.before-after.mp4")
    files = DemoFiles(*(folder / name for name in names))
    try:
        folder.mkdir(exist_ok=True)
        for path in (files.film, files.dub, files.script):
            if not path.exists() or path.read_bytes() != (ASSETS / path.name).read_bytes():
                shutil.copyfile(ASSETS / path.name, path)
    except FileExistsError:
        raise OutputError(f"{folder} is a file", hint="name a folder for the demo") from None
    except FileNotFoundError:
        raise OutputError(
            f"there is no folder {folder.absolute().parent} for the demo", hint="create it first"
        ) from None
    except OSError as error:
        raise OutputError(
            f"the demo cannot be written to {folder}: {error.strerror}", hint="name another folder"
        ) from error
    return files


def write_side_by_side(files: DemoFiles) -> None:
    """Original and dubbed film in one picture, with the sound of the dub."""
    strip = files.side_by_side.with_suffix(".png")
    part = files.side_by_side.with_name(f".{files.side_by_side.name}")
    _, coded = cv2.imencode(".png", cv2.cvtColor(captions(), cv2.COLOR_RGB2BGR))
    strip.write_bytes(bytes(coded))
    joined = "[0:v]setpts=PTS-STARTPTS[a];[1:v]setpts=PTS-STARTPTS[b];[a][b]hstack[x];[x][2:v]vstack,format=yuv420p[v]"
    inputs = [word for path in (files.film, files.dubbed, strip) for word in ("-i", f"file:{path}")]
    video = ["-map", "[v]", "-c:v", "libx264", "-crf", "18", "-preset", "veryfast"]
    sound = ["-map", "1:a:0", "-c:a", "copy", "-fflags", "+bitexact"]
    head = [str(find_program("ffmpeg")), "-v", "error", "-y", *inputs]
    try:
        run([*head, "-filter_complex", joined, *video, *sound, "-f", "mp4", f"file:{part}"])
        part.replace(files.side_by_side)
    finally:
        strip.unlink(missing_ok=True)
        part.unlink(missing_ok=True)


def captions() -> Picture:
    """The line under both pictures."""
    strip = np.full((_STRIP, 2 * WIDTH, 3), BACKGROUND, np.uint8)
    draw_text(strip, "as filmed", 12, 8, 16, INK)
    draw_text(strip, "dubbed by dubkit: nobody here said these words", WIDTH + 12, 8, 16, INK)
    return strip
