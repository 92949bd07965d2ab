"""The embedded engines keep the promises of their kinds, on what the demo carries."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from dubkit.config.schema import FaceSettings, SpeechSettings
from dubkit.engines.base import Aligner, FaceDetector, Landmarker
from dubkit.engines.registry import load_engine
from dubkit.media.audio import load_samples
from dubkit.records import Floats
from tests.engines.conformance import AlignerSuite, DetectorSuite, LandmarkerSuite, Picture
from tests.portrait import ASSETS


@pytest.fixture(scope="module", params=["pocketsphinx", "even"])
def aligner(request: pytest.FixtureRequest) -> Aligner:
    settings = SpeechSettings(trust_script=True)
    engine: Aligner = load_engine("aligner", request.param, settings)
    return engine


@pytest.fixture(scope="module")
def dub() -> Floats:
    return load_samples(ASSETS / "dub.flac")


@pytest.fixture(scope="module")
def line() -> str:
    text = (ASSETS / "dub.txt").read_text(encoding="utf-8")
    return " ".join("".join(c if c.isalpha() else " " for c in text).split())


@pytest.fixture(scope="module")
def detector() -> FaceDetector:
    engine: FaceDetector = load_engine("detector", "embedded", FaceSettings())
    return engine


@pytest.fixture(scope="module")
def seen() -> Picture:
    picture = cv2.imread(str(ASSETS / "portrait.jpg"), cv2.IMREAD_COLOR)
    assert picture is not None
    return np.ascontiguousarray(picture[..., ::-1], np.uint8)


@pytest.fixture(scope="module")
def landmarker() -> Landmarker:
    engine: Landmarker = load_engine("landmarker", "embedded", FaceSettings())
    return engine


class TestAligners(AlignerSuite):
    """Both aligners of the plain install."""


class TestEmbeddedDetector(DetectorSuite):
    """On a portrait."""


class TestEmbeddedLandmarker(LandmarkerSuite):
    """Without a picture of a face."""
