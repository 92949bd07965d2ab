"""Made-up faces for tests: the mean face, talking, turned, anywhere in a picture."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from dubkit.faces import align, landmark_layout
from dubkit.lips import mouth_shape
from dubkit.records import Floats

LOWER = landmark_layout.LIPS_INNER[1:10]
UPPER = landmark_layout.LIPS_INNER[:10:-1]


def with_gap(opening: float) -> Floats:
    """(L, 2) the mean face with its inner lips ``opening`` (canonical units) apart in the middle."""
    face: Floats = align.mean_face().copy()
    profile = np.clip(1 - (face[LOWER, 0] / 0.35) ** 2, 0, 1)
    middle = (face[LOWER, 1] + face[UPPER, 1]) / 2
    face[LOWER, 1] = middle + opening * profile
    face[UPPER, 1] = middle
    face[landmark_layout.LIPS_OUTER[1:10], 1] += opening * profile
    face[landmark_layout.JAW[4:-4], 1] += opening * 0.5
    return face


def talking(frames: int) -> Floats:
    """(T, L, 2) canonical faces whose mouth opens and shuts."""
    return np.stack([with_gap(0.15 * (1 - np.cos(t / 3))) for t in range(frames)])


def turned(yaw: float, pitch: float = 0.0) -> Floats:
    """The mean face in canonical coordinates, turned by degrees; to the left where ``yaw`` is negative."""
    face = align.turned_mean_face(yaw, pitch)
    return np.asarray(align.apply(align.canonical_from_face(face), face), np.float32)


def placed(face: Floats, scale: float, angle: float, x: float, y: float) -> Floats:
    """A canonical face put into a picture: eye distance ``scale`` pixels, turned by ``angle`` radians."""
    z = scale * np.exp(1j * angle)
    turn = np.array([[z.real, -z.imag], [z.imag, z.real]])
    return np.asarray(face @ turn.T + (x, y), np.float32)


def drawn(landmarks: Floats, width: int, height: int, seed: int = 0) -> NDArray[np.uint8]:
    """A gray picture with texture, skin, dark mouth and bright teeth where the landmarks say."""
    rng = np.random.default_rng(seed)
    picture = cv2.resize(
        rng.integers(60, 120, (height // 4, width // 4), np.uint8), (width, height)
    )
    for group, gray in (
        (landmark_layout.OVAL, 170),
        (landmark_layout.LIPS_OUTER, 120),
        (landmark_layout.LIPS_INNER, 30),
    ):
        cv2.fillPoly(picture, [np.round(landmarks[group]).astype(np.int32)], gray)
    noise = rng.normal(0, 3, picture.shape)
    return np.asarray(np.clip(picture + noise, 0, 255), np.uint8)


def gap_of(face: Floats) -> float:
    """Signed inner-lip gap of one (L, 2) canonical face, over the mean face's width."""
    return float(mouth_shape.gap(face[landmark_layout.MOVING]))
