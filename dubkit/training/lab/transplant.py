"""Give one face the mouth of another: many people with few expressions become many who speak.

Both faces are canonical crops of the same size, so their eyes agree; the donor's mouth is hung
from the recipient's nose, its light matched on the skin around the lips, and blended in softly. The
lips' landmarks become the donor's; those of the blended skin around (`BLENDED`) are no longer true.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from dubkit.faces import landmark_layout
from dubkit.records import Floats


_SUBNASAL = landmark_layout.NOSE_TIP[2]
# points that lie on neither face truly once their skin is blended: nothing is to be learnt of them
BLENDED = np.concatenate(
    [
        landmark_layout.CHEEKS,
        landmark_layout.CHIN,
        landmark_layout.NOSTRILS,
        landmark_layout.NOSE_TIP,
    ]
)


def transplant(
    picture: Picture, points: Floats, donor: Picture, donor_points: Floats, scale: float
) -> tuple[Picture, Floats]:
    """The recipient with the donor's mouth, and its landmarks."""
    shift = points[_SUBNASAL] - scale * donor_points[_SUBNASAL]
    moved = donor_points * scale + shift
    lips = np.concatenate([moved[landmark_layout.LIPS], points[landmark_layout.LIPS]])
    grow = 0.22 * float(np.ptp(moved[landmark_layout.LIPS, 0]))
    size = picture.shape[0]
    x0, y0 = np.clip(lips.min(0) - 2 * grow, 0, size - 2).astype(int)
    x1, y1 = np.clip(lips.max(0) + 2 * grow, 2, size).astype(int)
    if x1 - x0 < 4 or y1 - y0 < 4:
        return picture, points
    corner = np.array([x0, y0])
    matrix = np.array([[scale, 0, shift[0] - x0], [0, scale, shift[1] - y0]])
    patch = cv2.warpAffine(
        donor, matrix, (int(x1 - x0), int(y1 - y0)), borderMode=cv2.BORDER_REPLICATE
    )
    view = picture[y0:y1, x0:x1].astype(np.float32)
    inner = _hull(moved[landmark_layout.LIPS] - corner, view.shape[:2], 0)
    mask = _hull(lips - corner, view.shape[:2], grow)
    skin = (mask > 0.5) & (inner < 0.5)
    if not skin.any():
        return picture, points
    patch = _matched(patch.astype(np.float32), view, skin)
    soft = cv2.GaussianBlur(mask, (0, 0), max(grow / 3, 0.8))
    mixed = picture.copy()
    mixed[y0:y1, x0:x1] = np.clip(view + soft[..., None] * (patch - view), 0, 255)
    result = points.copy()
    result[landmark_layout.LIPS] = moved[landmark_layout.LIPS]
    return mixed, result


def _hull(points: Floats, shape: tuple[int, ...], grow: float) -> Floats:
    """The convex hull of points, grown, as 0 and 1."""
    mask = np.zeros(shape[:2], np.float32)
    hull = cv2.convexHull(np.round(points).astype(np.int32))
    cv2.fillConvexPoly(mask, hull, (1.0,))
    if grow > 0:
        cv2.polylines(mask, [hull], True, (1.0,), max(1, int(2 * grow)))
    return mask


def _matched(patch: Floats, view: Floats, skin: NDArray[np.bool_]) -> Floats:
    """The patch in the view's light, as the skin of both tells; grey where the view is grey."""
    colour = view[skin]
    if float(np.ptp(colour, axis=1).mean()) < 6:
        patch = np.repeat(patch.mean(2, keepdims=True), 3, 2)
    gain = (colour.mean(0) + 8) / (patch[skin].mean(0) + 8)
    return np.asarray(patch * np.clip(gain, 0.3, 3.0), np.float32)
