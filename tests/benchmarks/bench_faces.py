"""What finding and following a face costs at 720p: ``pytest -m benchmark tests/benchmarks/bench_faces.py -s``."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from dubkit.config.schema import FaceSettings
from dubkit.faces.embedded import EmbeddedDetector, EmbeddedLandmarker

pytestmark = pytest.mark.benchmark


def milliseconds(call: Callable[[], object], times: int) -> float:
    """The median of single calls, after three to warm up."""
    spent = []
    for i in range(times + 3):
        begun = time.perf_counter()
        call()
        if i >= 3:
            spent.append(1e3 * (time.perf_counter() - begun))
    return float(np.median(spent))


@pytest.mark.parametrize("threads", [1, 2])
def test_faces_cost_at_most_15_ms_a_frame_at_720p(data: Path, threads: int) -> None:
    reader = cv2.VideoCapture(str(data / "film" / "turkish_webcam_0.mp4"))
    _, frame = reader.read()
    picture = np.asarray(frame[..., ::-1], np.uint8)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        detector, landmarker = EmbeddedDetector(FaceSettings()), EmbeddedLandmarker(FaceSettings())
        size = landmarker.crop_size
        matrix = np.array([[0.25, 0.0, 0.0], [0.0, 0.25, 0.0]])

        def landmarks() -> None:
            landmarker.locate(
                np.asarray(cv2.warpAffine(picture, matrix, (size, size)), np.uint8)[None]
            )

        look, follow = (
            milliseconds(lambda: detector.detect(picture), 30),
            milliseconds(landmarks, 100),
        )
    finally:
        torch.set_num_threads(before)
    frame_cost = look / 12.5 + follow
    sys.stderr.write(
        f"\n{threads} threads: detector {look:.1f} ms a look, crop and landmarks {follow:.1f} ms, "
        f"{frame_cost:.1f} ms a frame at 25 frames/s with a look every 0.5 s\n"
    )
    assert frame_cost <= 15
