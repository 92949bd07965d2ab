"""Text over a face is found by its edges, kept as filmed, and taken out of what is borrowed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest

from dubkit.faces import align
from dubkit.lips import lending, references
from dubkit.lips.overlay_removal import FaceOverlays, SkinCovers
from dubkit.lips.overlays import OverlayFinder
from dubkit.lips.refiner import FacePlan, Renderer
from dubkit.media.frames import Frame
from dubkit.media.planes import plane_format
from dubkit.records import FaceState, FaceTrack
from dubkit.stages.appearance import Overlaid
from tests.clips import facts
from tests.faces.faces import drawn, placed, talking

WIDTH, HEIGHT, FRAMES, SCALE = 320, 240, 24, 60.0
Overlay = tuple[np.ndarray, np.ndarray]


def text(line: str, x: int, y: int, box: bool = False) -> Overlay:
    """Luma and alpha of a white line of text, with a black box under it or without."""
    luma, alpha = (np.zeros((HEIGHT, WIDTH), np.uint8) for _ in range(2))
    if box:
        cv2.rectangle(alpha, (x - 6, y - 20), (x + 150, y + 8), 255, -1)
    for picture in (luma, alpha):
        cv2.putText(picture, line, (x, y), 0, 0.6, 235, 2, cv2.LINE_AA)
    return luma, np.where(luma > 0, 255, alpha).astype(np.uint8)


def film(overlay: Overlay | None, step: tuple[int, int] = (0, 0)) -> tuple[list[Frame], FacePlan]:
    """A talking face that sways, with something laid over it that moves by ``step`` a frame."""
    info = facts("gray", width=WIDTH, height=HEIGHT)
    layout, unused = plane_format(info), None
    shapes = talking(FRAMES + 5)
    sway = 7 * np.sin(np.arange(FRAMES) / 2.5)
    faces = [
        placed(shapes[t], SCALE, 0.0, WIDTH / 2 + sway[t], HEIGHT / 3 + sway[t] / 2)
        for t in range(FRAMES)
    ]
    frames = []
    for t, face in enumerate(faces):
        luma = drawn(face, WIDTH, HEIGHT, seed=1)
        if overlay is not None:
            shift = np.array([[1, 0, step[0] * t], [0, 1, step[1] * t]], np.float32)
            over, alpha = (cv2.warpAffine(part, shift, (WIDTH, HEIGHT)) for part in overlay)
            luma = np.where(alpha > 0, over, luma).astype(np.uint8)
        nothing: Any = unused
        frames.append(Frame(t, t, (luma,), layout, info, nothing, nothing))
    ways = [align.canonical_from_face(face) for face in faces]
    current = np.stack([align.apply(m, f) for m, f in zip(ways, faces, strict=True)])
    bank = tuple(range(0, FRAMES, 3))
    gap = references.gap_of(shapes[5:])
    cost = np.abs(gap[:, None] - references.gap_of(current)[list(bank)][None])
    choice = references.Choice(cost.astype(np.float32), gap, 25.0, np.array(bank))
    full = np.ones(FRAMES, np.float32)
    back = [align.invert(m) for m in ways]
    return frames, FacePlan(0, back, current, shapes[5:], full, bank, choice)


def painted(frames: list[Frame], plan: FacePlan) -> tuple[list[np.ndarray], int]:
    renderer = Renderer(frames[0].info, plan, 0.12, None)
    for frame in frames:
        renderer.lend(frame)
    made = []
    for frame in frames:
        planes = (frame.planes[0].copy(),)
        renderer.paint(frame, planes)
        made.append(planes[0])
    return made, renderer.hidden_frames


@pytest.mark.parametrize(
    ("overlay", "step", "speaks"),
    [
        (text("what we are", 100, 184), (0, 0), False),
        (text("what we are", 100, 230), (0, -3), True),
        (text("what we are", 100, 184, box=True), (0, 0), False),
    ],
    ids=["still", "scrolling", "boxed"],
)
def test_text_over_a_face_stays_as_filmed_and_hides_the_mouth_where_it_never_leaves(
    overlay: Overlay, step: tuple[int, int], speaks: bool
) -> None:
    frames, plan = film(overlay, step)
    made, hidden = painted(frames, plan)
    assert (hidden < FRAMES) is speaks
    assert hidden > 0, "where it lies over the lips, they stay as filmed"
    alone = 0
    for t in range(5, FRAMES):
        shift = np.array([[1, 0, step[0] * t], [0, 1, step[1] * t]], np.float32)
        there = cv2.warpAffine(overlay[1], shift, (WIDTH, HEIGHT)) > 0
        np.testing.assert_array_equal(made[t][there], frames[t].planes[0][there])
        away = cv2.dilate(there.astype(np.uint8), np.ones((15, 15))) == 0
        alone += int((made[t] != frames[t].planes[0])[away].sum())
        white = (made[t] > 225) & ~there
        assert white.sum() <= (frames[t].planes[0] > 225)[~there].sum() + 12  # no ghost of text
    assert (alone > 200 * (FRAMES - hidden)) is speaks  # the mouth is another all the same


@pytest.mark.parametrize(
    ("overlay", "step", "lent"),
    [
        (None, (0, 0), 3),
        (text("what we are", 100, 184), (0, 0), 0),
        (text("what we are", 100, 230), (0, -3), 1),
    ],
    ids=["nothing", "still", "scrolling"],
)
def test_frames_with_text_over_the_face_are_not_lent_to_other_shots(
    overlay: Overlay | None, step: tuple[int, int], lent: int
) -> None:
    frames, plan = film(overlay, step)
    places = zip(plan.display_from_canonical, plan.current, strict=True)
    faces = np.stack([align.apply(way, face) for way, face in places])
    boxes = np.concatenate([faces.min(1), faces.max(1)], 1)
    ones, none = np.ones(FRAMES, np.float32), np.zeros((FRAMES, 3), np.float32)
    seen = np.full(FRAMES, FaceState.SEEN, np.int8)
    track = FaceTrack(0, 0, boxes, faces, none, ones, seen, ones * 0)
    offered = np.array([0, FRAMES // 2, FRAMES - 2])
    over = Overlaid(track, frames[0].info, offered)
    pairs = []
    for row, frame in enumerate(frames):
        if row in over.rows:
            over.see(frame.planes[0], row)
        if row in offered:
            reference = lending.cut(frame, faces[row])
            pairs.append(
                (lending.judged("a/0", frame, faces[row], none[row], reference), reference)
            )
    clear = [offer.frame for offer, _ in over.clear(pairs)]
    assert len(clear) == lent
    assert clear[:1] == [0][:lent]  # the text that moves is not there yet


def test_a_face_alone_is_no_overlay() -> None:
    frames, plan = film(None)
    shapes = plan.current, plan.target
    over = FaceOverlays([np.eye(2, 3)], plan.display_from_canonical, shapes, 0.12, 25.0, 8)
    for t, frame in enumerate(frames):
        over.see(frame.planes[0], t)
    over.find({})
    assert over.none


def test_a_microphone_before_a_cheek_stays_where_it_is_filmed_and_comes_into_no_other_frame() -> (
    None
):
    # beside the mouth in half of the frames, with an edge too soft for text
    disc = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.circle(disc, (108, 148), 22, 255, -1)
    alpha = cv2.GaussianBlur(disc, (0, 0), 3)
    frames, plan = film(None)
    clean, _ = painted(frames, plan)
    over = [frame.planes[0].astype(np.float32) * (1 - alpha / 255.0) for frame in frames]
    shown = [t % 12 >= 6 for t in range(FRAMES)]
    mixed = [
        replace(frame, planes=(part.astype(np.uint8),)) if there else frame
        for frame, part, there in zip(frames, over, shown, strict=True)
    ]
    made, hidden = painted(mixed, plan)
    assert not hidden
    inside, around = alpha > 250, cv2.dilate(alpha, np.ones((25, 25))) > 0
    for t, there in enumerate(shown):
        if there:
            assert np.abs(made[t].astype(int) - mixed[t].planes[0])[inside].max() <= 25
        else:
            dark = (made[t] < 60) & around
            assert dark.sum() <= ((clean[t] < 60) & around).sum() + 4
    away = sum(int((made[t] != mixed[t].planes[0]).sum()) for t in range(FRAMES))
    assert away > 200 * FRAMES  # all of them speak


def test_clean_skin_covers_nothing() -> None:
    frames, plan = film(None)
    covers = SkinCovers(plan.current, [], 1, 8)
    for t, frame in enumerate(frames):
        covers.see(frame.planes, [plan.display_from_canonical[t]], t)
    assert covers.cost(np.array(plan.bank)).max() < 0.05


def test_what_lies_beyond_the_part_that_was_seen_has_no_edges() -> None:
    """Points of a moving overlay leave the part of the picture that is looked at; its border is not theirs."""
    faces = np.stack([placed(face, 40.0, 0.0, 160.0, 100.0) for face in [talking(1)[0]] * 12])
    finder = OverlayFinder(faces, np.full(12, 40.0, np.float32), 25.0, 8)
    stripes = np.zeros((HEIGHT, WIDTH), np.uint8)
    stripes[:, ::4] = 255
    for row in range(12):
        finder.see(stripes, row)
    seen = finder._seen[0]
    width = seen.shape[1]
    points = np.array([[width - 2 + k, 20] for k in range(8)])
    corners = np.zeros((12, 2), np.intp)
    at = np.zeros((12, 2), np.intp)
    marked = {
        int(point)
        for marks in finder._marks(points, corners, at, (seen.shape[0], width + 8), True)
        for point in marks.some
    }
    assert marked
    assert max(points[k, 0] for k in marked) <= width
