"""RetinaFace with weights made on the spot, and with published ones where they are at hand."""

from __future__ import annotations

import zipfile
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from dubkit.config.schema import FaceSettings
from dubkit.engines.containment import contained
from dubkit.engines.registry import choose, load_engine
from dubkit.errors import ModelError
from dubkit.faces import align
from dubkit.faces.embedded import EmbeddedDetector, EmbeddedLandmarker
from dubkit.faces.retinaface import RetinafaceDetector
from tests.engines.conformance import DetectorSuite
from tests.portrait import ASSETS

pytestmark = pytest.mark.filterwarnings("ignore")

Picture = NDArray[np.uint8]


@pytest.fixture(scope="session")
def faces() -> ModuleType:
    with contained():
        from tests.faces import tiny_faces
    return tiny_faces


def make(path: Path, long_side: int = 256) -> RetinafaceDetector:
    settings = FaceSettings(detector="retinaface", weights=str(path), detect_size=long_side)
    engine: RetinafaceDetector = load_engine("detector", "retinaface", settings)
    return engine


@pytest.fixture(scope="module")
def spots(tmp_path_factory: pytest.TempPathFactory, faces: ModuleType) -> Path:
    path = tmp_path_factory.mktemp("retinaface") / "spots.pth"
    faces.spot_weights(path)
    return path


@pytest.fixture(scope="module")
def detector(spots: Path) -> RetinafaceDetector:
    return make(spots)


def picture(*middles: tuple[int, int], size: tuple[int, int] = (256, 160)) -> Picture:
    """Bright red spots on black, around multiples of 8 pixels: each fills one cell of the net's grid."""
    made = np.zeros((size[1], size[0], 3), np.uint8)
    for x, y in middles:
        made[y - 4 : y + 4, x - 4 : x + 4, 0] = 255
    return made


@pytest.fixture(scope="module")
def seen() -> Picture:
    return picture((160, 96))


class TestRetinaface(DetectorSuite):
    """See the suite."""


def test_a_spot_is_found_where_it_is_with_its_five_points(
    detector: RetinafaceDetector, faces: ModuleType
) -> None:
    (found,) = detector.detect(picture((160, 96)))
    np.testing.assert_allclose(found.box, (144, 80, 176, 112), atol=9)
    middle = np.array([(found.box[0] + found.box[2]) / 2, (found.box[1] + found.box[3]) / 2])
    np.testing.assert_allclose(found.points - middle, np.array(faces.FIVE) - 0.5, atol=0.01)


def test_two_spots_are_two_faces_and_overlapping_ones_are_one(detector: RetinafaceDetector) -> None:
    assert len(detector.detect(picture((48, 48), (200, 104)))) == 2
    assert len(detector.detect(picture((48, 48), (56, 48)))) == 1


def test_coordinates_are_those_of_the_picture_given_not_of_the_one_looked_at(
    detector: RetinafaceDetector,
) -> None:
    small = picture((160, 96))
    large = cv2.resize(small, None, fx=2.5, fy=2.5, interpolation=cv2.INTER_LINEAR)
    (a,), (b,) = detector.detect(small), detector.detect(np.asarray(large, np.uint8))
    np.testing.assert_allclose(np.array(b.box), np.array(a.box) * 2.5, atol=0.5)
    np.testing.assert_allclose(b.points + 0.5, (a.points + 0.5) * 2.5, atol=0.5)


def test_several_pictures_at_once_give_what_each_gives_alone(detector: RetinafaceDetector) -> None:
    pictures = [picture((104, 96)), picture(), picture((48, 64), (200, 104))]
    together = detector.detect_all(pictures)
    assert [len(found) for found in together] == [1, 0, 2]
    for found, one in zip(together, pictures, strict=True):
        for a, b in zip(found, detector.detect(one), strict=True):
            np.testing.assert_allclose(a.points, b.points, atol=1e-3)
            assert a.score == pytest.approx(b.score, abs=1e-5)


def test_weights_may_lie_in_a_zip_or_a_safetensors_file(
    spots: Path, tmp_path: Path, faces: ModuleType
) -> None:
    from safetensors.torch import save_file

    published = tmp_path / "retinaface_resnet50_2020-07-20-f168fae3c.zip"
    with zipfile.ZipFile(published, "w") as archive:
        archive.write(spots, "retinaface_resnet50_2020-07-20.pth")
    tensors = tmp_path / "own.safetensors"
    save_file(faces.torch.load(spots, weights_only=True), tensors)
    expected = make(spots).detect(picture((160, 96)))[0].box
    for path in (published, tensors):
        assert make(path).detect(picture((160, 96)))[0].box == expected


@pytest.mark.parametrize("content", [b"", b"no weights at all", b"PK\x03\x04 broken"])
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.pth"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"broken\.pth"):
        make(path).detect(picture())


def test_weights_of_another_net_are_refused(tmp_path: Path, faces: ModuleType) -> None:
    path = tmp_path / "other.pth"
    faces.torch.save({"layer": faces.torch.zeros(3)}, path)
    with pytest.raises(ModelError, match="no weights of RetinaFace"):
        make(path).detect(picture())


def test_the_small_network_is_known_by_its_weights(tmp_path: Path, faces: ModuleType) -> None:
    path = tmp_path / "small.pth"
    faces.small_weights(path)
    detector = make(path)
    detector.detect(picture())
    assert detector._net.backbone is faces.MOBILENET


def test_a_small_network_of_a_later_release_is_refused(tmp_path: Path, faces: ModuleType) -> None:
    """Its rectifiers and anchors are others; with ours it would find nonsense."""
    path = tmp_path / "leaky.pth"
    faces.small_weights(path, leaky=True)
    with pytest.raises(ModelError, match="leaky rectifiers"):
        make(path).detect(picture())


def test_trained_weights_find_the_faces_that_the_embedded_engine_finds(data: Path) -> None:
    """The small network with its published weights, on a shot of two people."""
    weights = data / "teacher" / "retinaface_mobilenet0.25.pth"
    reader = cv2.VideoCapture(str(data / "film" / "two_people_side_by_side.mp4"))
    seen = np.ascontiguousarray(reader.read()[1][..., ::-1], np.uint8)
    ours = EmbeddedDetector(FaceSettings()).detect(seen)[:2]
    theirs = make(weights, 512).detect(seen)[:2]
    for face in ours:
        eyes = float(np.linalg.norm(face.points[1] - face.points[0]))
        distances = [np.linalg.norm(other.points - face.points, axis=1).mean() for other in theirs]
        assert min(distances) < 0.12 * eyes


def test_too_little_memory_is_met_with_smaller_batches_and_said(
    spots: Path, monkeypatch: pytest.MonkeyPatch, faces: ModuleType
) -> None:
    detector = make(spots)
    detector.detect(picture())  # the net is there now
    true = detector._net.detect

    def hungry(pictures: list[Picture], least: float) -> object:
        if len(pictures) > 1:
            raise faces.torch.OutOfMemoryError("out of memory")
        return true(pictures, least)

    monkeypatch.setattr(detector._net, "detect", hungry)
    found = detector.detect_all([picture((104, 96)), picture((200, 80))])
    assert [len(one) for one in found] == [1, 1]
    assert detector.notes == ("retinaface: cpu is out of memory: batches of 1 instead of 2",)


def test_a_gpu_without_memory_for_one_picture_hands_over_to_the_cpu_and_it_is_said(
    spots: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, faces: ModuleType
) -> None:
    fresh = tmp_path / "fresh.pth"  # no net of it is loaded yet
    fresh.write_bytes(spots.read_bytes())
    with contained():
        from dubkit.faces import retinaface_net
    true, asked = retinaface_net.RetinafaceNet, []

    def small_gpu(path: Path, long_side: int, device: str) -> object:
        asked.append(device)
        if device != "cpu":
            raise faces.torch.OutOfMemoryError("CUDA out of memory")
        return true(path, long_side, device)

    monkeypatch.setattr(retinaface_net, "RetinafaceNet", small_gpu)
    settings = FaceSettings(detector="retinaface", weights=str(fresh), detect_size=256)
    detector = load_engine("detector", "retinaface", settings, "cuda:0")
    assert len(detector.detect(picture((160, 96)))) == 1
    detector.detect(picture())
    assert asked == ["cuda:0", "cpu"]
    assert detector.notes == (
        "retinaface: cuda:0 is out of memory: continuing on the CPU, which is slower",
    )


def test_the_net_is_loaded_once_a_process(spots: Path) -> None:
    """Each shot of a film has a detector of its own."""
    first, second = make(spots), make(spots)
    first.detect(picture())
    second.detect(picture())
    assert first._net is second._net


def test_auto_takes_it_when_its_weights_are_there(spots: Path) -> None:
    name, why = choose("detector", "auto", FaceSettings(weights=str(spots)))
    assert (name, why) == ("retinaface", "auto: the best available")


def test_its_five_points_seed_the_dense_landmarks(tmp_path: Path, faces: ModuleType) -> None:
    """Fitted to one portrait, it leads the landmarker to what the embedded detector leads it to."""
    portrait = cv2.imread(str(ASSETS / "portrait.jpg"))
    assert portrait is not None
    picture = np.ascontiguousarray(portrait[..., ::-1], np.uint8)
    settings = FaceSettings(detect_size=256)
    expected = EmbeddedDetector(settings).detect(picture)[0]
    path = tmp_path / "fitted.pth"
    faces.fitted_weights(path, [picture], [expected], settings.detect_size)
    found = make(path).detect(picture)[0]
    eyes = float(np.linalg.norm(expected.points[1] - expected.points[0]))
    assert np.abs(found.points - expected.points).max() < 0.1 * eyes
    landmarker = EmbeddedLandmarker(settings)
    placed = []
    for face in (expected, found):
        size = landmarker.crop_size
        matrix = align.compose(
            align.crop_from_canonical(size), align.canonical_from_points(face.points)
        )
        crop = cv2.warpAffine(picture, matrix, (size, size))
        landmarks, _, sure = landmarker.locate(np.asarray(crop, np.uint8)[None])
        assert sure[0] > 0.5
        placed.append(align.apply(align.invert(matrix), landmarks[0]))
    assert np.linalg.norm(placed[0] - placed[1], axis=1).mean() < 0.05 * eyes
