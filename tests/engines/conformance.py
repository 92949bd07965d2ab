"""What every engine of a kind promises, whichever it is. Subclass a suite and give it its engine's fixture."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray

from dubkit.engines.base import Aligner, FaceDetector, Landmarker
from dubkit.errors import ModelError
from dubkit.faces import landmark_layout
from dubkit.records import Floats, ScriptLine, Speech

RATE = 16000
Picture = NDArray[np.uint8]


def assert_tiles(speech: Speech, samples: Floats) -> None:
    """Phonemes tile the whole track; words lie in it."""
    assert speech.duration == pytest.approx(len(samples) / RATE)
    edges = [0.0, *(p.end for p in speech.phonemes)]
    assert [p.start for p in speech.phonemes] == pytest.approx(edges[:-1])
    assert edges[-1] == pytest.approx(speech.duration)
    assert all(p.end >= p.start for p in speech.phonemes)
    assert all(0 <= p.word < len(speech.words) for p in speech.phonemes if p.word is not None)
    assert all(0 <= w.start < w.end <= speech.duration + 1e-9 for w in speech.words)


def _with_holes(samples: Floats) -> Floats:
    holes: Floats = np.array(samples, np.float32)
    holes[::999] = np.nan
    return holes


NOISE = np.random.default_rng(0).normal(0, 0.1, RATE).astype(np.float32)
SOUNDS: dict[str, Callable[[Floats], Floats]] = {
    "empty": lambda dub: dub[:0],
    "a tenth of a second": lambda dub: dub[: RATE // 10],
    "one sample": lambda dub: dub[:1],
    "zeros": lambda dub: dub * 0,
    "nothing but NaN": lambda dub: dub[:RATE] * np.float32("nan"),
    "some NaN": lambda dub: _with_holes(dub[: 3 * RATE]),
    "far too loud": lambda dub: dub[: 3 * RATE] * 1000,
    "very quiet": lambda dub: dub[: 3 * RATE] * 0.01,
    "noise": lambda dub: NOISE,
}


class AlignerSuite:
    """Fixtures: ``aligner``, ``dub`` (some seconds of English speech) and ``line``, what is said in it.

    ``line`` is of plain words. The aligner takes a script on trust, so that any sound can be tried.
    """

    @pytest.mark.parametrize("sound", SOUNDS)
    @pytest.mark.parametrize("scripted", [False, True], ids=["no script", "script"])
    def test_any_sound_gives_phonemes_that_tile_it(
        self, aligner: Aligner, dub: Floats, line: str, sound: str, scripted: bool
    ) -> None:
        samples = SOUNDS[sound](dub)
        script = (ScriptLine(line),) if scripted else None
        assert_tiles(aligner.align(samples, script, "en"), samples)

    def test_a_silent_dub_is_all_silence_and_says_so(self, aligner: Aligner, line: str) -> None:
        speech = aligner.align(np.zeros(2 * RATE, np.float32), (ScriptLine(line),), "en")
        assert speech.path == "silence"
        assert [p.symbol for p in speech.phonemes] == ["sil"]

    def test_the_words_of_a_script_come_in_its_order(
        self, aligner: Aligner, dub: Floats, line: str
    ) -> None:
        speech = aligner.align(dub, (ScriptLine(line),), "en")
        assert speech.path == "script"
        assert [word.text for word in speech.words] == line.lower().split()
        assert [w.start for w in speech.words] == sorted(w.start for w in speech.words)
        assert {p.word for p in speech.phonemes} - {None} == set(range(len(speech.words)))

    def test_equal_input_gives_equal_speech(self, aligner: Aligner, dub: Floats, line: str) -> None:
        script = (ScriptLine(line),)
        assert aligner.align(dub, script, "en") == aligner.align(dub, script, "en")

    def test_the_speech_names_its_engine(self, aligner: Aligner, dub: Floats, line: str) -> None:
        speech = aligner.align(dub, (ScriptLine(line),), "en")
        assert speech.engine == f"{aligner.name} {aligner.version}"
        assert speech.language == "en"


class DetectorSuite:
    """Fixtures: ``detector``, and ``seen``, a picture in which it finds at least one face."""

    def test_faces_are_best_first_and_inside(self, detector: FaceDetector, seen: Picture) -> None:
        found = detector.detect(seen)
        assert found
        scores = [face.score for face in found]
        assert scores == sorted(scores, reverse=True)
        assert all(0 <= score <= 1 for score in scores)
        height, width = seen.shape[:2]
        for face in found:
            x0, y0, x1, y1 = face.box
            assert 0 <= x0 < x1 <= width
            assert 0 <= y0 < y1 <= height
            assert face.points.shape == (5, 2)
            assert face.points.dtype == np.float32
            assert np.isfinite(face.points).all()

    def test_eyes_are_above_mouths_and_left_before_right(
        self, detector: FaceDetector, seen: Picture
    ) -> None:
        left_eye, right_eye, nose, left_mouth, right_mouth = detector.detect(seen)[0].points
        assert left_eye[0] < right_eye[0]
        assert left_mouth[0] < right_mouth[0]
        assert max(left_eye[1], right_eye[1]) < nose[1] < max(left_mouth[1], right_mouth[1])

    def test_equal_pictures_give_equal_faces(self, detector: FaceDetector, seen: Picture) -> None:
        first, second = detector.detect(seen), detector.detect(seen.copy())
        assert [f.box for f in first] == [f.box for f in second]
        for a, b in zip(first, second, strict=True):
            np.testing.assert_array_equal(a.points, b.points)

    def test_a_face_moves_with_its_picture(self, detector: FaceDetector, seen: Picture) -> None:
        first = detector.detect(seen)[0]
        moved = np.roll(seen, (16, 32), axis=(0, 1))
        second = min(
            detector.detect(moved),
            key=lambda face: float(np.abs(face.points - first.points - (32, 16)).max()),
        )
        size = first.box[2] - first.box[0]
        np.testing.assert_allclose(second.points - first.points, [[32, 16]] * 5, atol=0.1 * size)

    def test_a_picture_without_faces_gives_none(self, detector: FaceDetector) -> None:
        assert detector.detect(np.zeros((360, 640, 3), np.uint8)) == []

    SHAPES: ClassVar = [(1, 1, 3), (3, 700, 3), (700, 3, 3), (33, 31, 3)]

    @pytest.mark.parametrize("shape", SHAPES)
    def test_odd_sizes_are_no_trouble(
        self, detector: FaceDetector, shape: tuple[int, int, int]
    ) -> None:
        assert detector.detect(np.zeros(shape, np.uint8)) == []

    def test_what_is_no_picture_is_refused(self, detector: FaceDetector) -> None:
        with pytest.raises(ModelError, match=r"\(H, W, 3\)"):
            detector.detect(np.zeros((20, 20), np.uint8))

    def test_the_version_names_the_weights(self, detector: FaceDetector) -> None:
        assert len(detector.version.rpartition("+")[2]) == 16


class LandmarkerSuite:
    """Fixture: ``landmarker``."""

    def test_no_crops_give_no_results(self, landmarker: Landmarker) -> None:
        size = landmarker.crop_size
        landmarks, pose, sure = landmarker.locate(np.empty((0, size, size, 3), np.uint8))
        assert (landmarks.shape, pose.shape, sure.shape) == (
            (0, landmark_layout.COUNT, 2),
            (0, 3),
            (0,),
        )

    def test_results_do_not_depend_on_company(self, landmarker: Landmarker) -> None:
        size = landmarker.crop_size
        crops = np.random.default_rng(0).integers(0, 256, (3, size, size, 3)).astype(np.uint8)
        together = landmarker.locate(crops)
        for i in range(len(crops)):
            alone = landmarker.locate(crops[i : i + 1])
            for a, b in zip(together, alone, strict=True):
                np.testing.assert_array_equal(a[i], b[0])

    def test_looking_at_crops_together_changes_last_bits_alone(
        self, landmarker: Landmarker
    ) -> None:
        size = landmarker.crop_size
        crops = np.random.default_rng(1).integers(0, 256, (8, size, size, 3)).astype(np.uint8)
        for a, b in zip(
            landmarker.locate(crops, together=True), landmarker.locate(crops), strict=True
        ):
            np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-2)

    def test_crops_without_a_face_have_no_confidence(self, landmarker: Landmarker) -> None:
        size = landmarker.crop_size
        crops = np.zeros((2, size, size, 3), np.uint8)
        crops[1] = 200
        assert float(landmarker.locate(crops)[2].max()) < 0.5

    def test_what_is_no_crop_is_refused(self, landmarker: Landmarker) -> None:
        with pytest.raises(ModelError, match="crops"):
            landmarker.locate(np.zeros((1, 20, 20, 3), np.uint8))
