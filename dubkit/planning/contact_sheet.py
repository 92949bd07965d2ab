"""A contact sheet: one thumbnail a shot, with the face, the risk as a color, and a bar of speech."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from dubkit.errors import OutputError
from dubkit.planning.shot_plan import Level, ShotPlan
from dubkit.records import Picture
from dubkit.work.manifest import write_atomic

Rgb = tuple[int, int, int]

PAGE = 60  # shots on one picture
COLUMNS, CELL, GAP, MARGIN, HEAD = 6, 300, 20, 36, 84  # pixels, but for the columns
THUMB_HEIGHT, BAR, CAPTION = 169, 8, 54
BACKGROUND, PANEL, INK, DIM, SPEECH = (
    (22, 25, 31),
    (33, 38, 46),
    (232, 235, 240),
    (150, 158, 170),
    (108, 172, 255),
)
COLORS: dict[Level, Rgb] = {
    Level.NONE: (112, 120, 132),
    Level.LOW: (84, 186, 132),
    Level.MEDIUM: (240, 180, 76),
    Level.HIGH: (242, 96, 90),
}
_FINER = 3  # letters are drawn so many times larger, then averaged: the font has no smooth edges
_LETTER = 22  # pixels of the font's height at scale 1


class SheetWriter:
    """Takes shots in any order; a page is written as soon as its last shot is there."""

    def __init__(self, path: Path, count: int) -> None:
        self._path, self._count = path, count
        self._pages: dict[int, dict[int, ShotPlan]] = {}
        self._written: dict[int, Path] = {}

    def add(self, index: int, plan: ShotPlan) -> ShotPlan:
        """Put a shot on its page; returns it without its thumbnail."""
        page = index // PAGE
        cells = self._pages.setdefault(page, {})
        cells[index] = plan
        if len(cells) == min(PAGE, self._count - page * PAGE):
            self._written[page] = self._write(page, self._pages.pop(page))
        return replace(plan, thumbnail=None)

    def close(self) -> list[Path]:
        """The pages that were written, in order."""
        return [self._written[page] for page in sorted(self._written)]

    def _write(self, page: int, cells: dict[int, ShotPlan]) -> Path:
        path = self._path
        if page:
            path = path.with_name(f"{path.stem}-{page + 1}{path.suffix}")
        _, coded = cv2.imencode(".png", cv2.cvtColor(_draw(cells, self._count), cv2.COLOR_RGB2BGR))
        try:
            write_atomic(path, bytes(coded))
        except OSError as error:
            raise OutputError(f"{path} cannot be written: {error.strerror}") from error
        return path


def _draw(cells: dict[int, ShotPlan], count: int) -> Picture:
    columns = min(COLUMNS, len(cells))
    rows = math.ceil(len(cells) / columns)
    cell_height = THUMB_HEIGHT + BAR + CAPTION
    width = max(2 * MARGIN + columns * CELL + (columns - 1) * GAP, 2 * MARGIN + 2 * CELL)
    height = HEAD + rows * (cell_height + GAP) + MARGIN - GAP
    sheet = np.full((height, width, 3), BACKGROUND, np.uint8)
    first, last = min(cells) + 1, max(cells) + 1
    title = f"{count} shots" if len(cells) == count else f"shots {first} to {last} of {count}"
    draw_text(sheet, title, MARGIN, 34, 22, INK)
    _legend(sheet, width)
    for place, index in enumerate(sorted(cells)):
        x = MARGIN + (place % columns) * (CELL + GAP)
        y = HEAD + (place // columns) * (cell_height + GAP)
        _cell(sheet[y : y + cell_height, x : x + CELL], index, cells[index])
    return sheet


def _legend(sheet: Picture, width: int) -> None:
    x = width - MARGIN
    for level in (Level.NONE, Level.LOW, Level.MEDIUM, Level.HIGH):
        word = "no face" if level is Level.NONE else f"{level.word} risk"
        x -= round(len(word) * 8.5) + 34
        cv2.rectangle(sheet, (x, 36), (x + 13, 49), COLORS[level], -1)
        draw_text(sheet, word, x + 20, 36, 14, DIM)


def _cell(cell: Picture, index: int, plan: ShotPlan) -> None:
    color = COLORS[plan.risk]
    cell[:] = PANEL
    picture = cell[:THUMB_HEIGHT]
    _thumbnail(picture, plan, color)
    picture[:, :4] = color
    _speech(cell[THUMB_HEIGHT : THUMB_HEIGHT + BAR], plan)
    top = THUMB_HEIGHT + BAR + 9
    draw_text(cell, f"{index + 1}", 10, top, 15, INK)
    draw_text(cell, f"{_clock(plan.start)}   {plan.end - plan.start:.1f} s", 64, top, 14, DIM)
    reason = plan.reasons[0].text if plan.reasons else _plain_words(plan)
    draw_text(cell, reason, 10, top + 22, 13, color if plan.reasons else DIM)


def _clock(seconds: float) -> str:
    minutes = int(seconds // 60)
    if minutes < 60:
        return f"{minutes}:{seconds - 60 * minutes:04.1f}"
    return f"{minutes // 60}:{minutes % 60:02d}:{int(seconds % 60):02d}"


def _plain_words(plan: ShotPlan) -> str:
    if not plan.faces:
        return "no face: stays as it is"
    return f"face {plan.face.width:.0f} px" if plan.face else ""


def _thumbnail(place: Picture, plan: ShotPlan, color: Rgb) -> None:
    if plan.thumbnail is None:
        return
    coded = np.frombuffer(plan.thumbnail, np.uint8)
    shown = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR_RGB), np.uint8)
    height, width = place.shape[:2]
    scale = min(width / shown.shape[1], height / shown.shape[0])
    w, h = round(shown.shape[1] * scale), round(shown.shape[0] * scale)
    x, y = (width - w) // 2, (height - h) // 2
    place[:] = (12, 14, 17)
    place[y : y + h, x : x + w] = cv2.resize(shown, (w, h), interpolation=cv2.INTER_AREA)
    if plan.box:
        x0, y0, x1, y1 = plan.box
        corners = (round(x + x0 * w), round(y + y0 * h)), (round(x + x1 * w), round(y + y1 * h))
        cv2.rectangle(place, *corners, color, 2, cv2.LINE_AA)


def _speech(bar: Picture, plan: ShotPlan) -> None:
    """Where somebody speaks, over the length of the shot."""
    bar[:] = (48, 54, 64)
    count = len(plan.speech.bar)
    for part, spoken in enumerate(plan.speech.bar):
        if spoken:
            edges = [round(bar.shape[1] * at / count) for at in (part, part + 1)]
            bar[:, edges[0] : edges[1]] = SPEECH


def draw_text(sheet: Picture, text: str, x: int, y: int, size: int, color: Rgb) -> None:
    """Letters with their top at ``y``, cut off at the edge; the font knows ASCII only."""
    plain = text.replace("\N{DEGREE SIGN}", " deg").encode("ascii", "replace").decode()
    scale, thick = size * _FINER / _LETTER * 0.9, max(1, round(size * _FINER / 13))
    font = cv2.FONT_HERSHEY_SIMPLEX
    (width, height), below = cv2.getTextSize(plain, font, scale, thick)
    big = np.zeros((height + below + 2 * _FINER, width + 2 * _FINER), np.uint8)
    cv2.putText(big, plain, (0, height + _FINER), font, scale, 255, thick, cv2.LINE_AA)
    room = sheet.shape[1] - x - 8
    small = (max(1, big.shape[1] // _FINER), max(1, big.shape[0] // _FINER))
    mask = cv2.resize(big, small, interpolation=cv2.INTER_AREA)[:, :room].astype(np.float32) / 255
    spot = sheet[y : y + mask.shape[0], x : x + mask.shape[1]]
    mask = mask[: spot.shape[0], : spot.shape[1], None]
    spot[:] = np.rint(spot * (1 - mask) + np.array(color) * mask).astype(np.uint8)
