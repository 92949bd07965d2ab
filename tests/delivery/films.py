"""Dubbed films in a moment: painted faces, and a synthesizer that lays a soft patch over each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dubkit.config.presets import load_config
from dubkit.config.schema import GenerateSettings
from dubkit.media.frames import Frame
from dubkit.media.planes import Plane, plane_format
from dubkit.pipeline.job import run_job
from dubkit.pipeline.request import RunRequest, make_job
from dubkit.progress import NoProgress
from dubkit.records import FaceTrack, Floats, Mask, Timing, VideoInfo
from tests.clips import ffmpeg, tone
from tests.painted import Person, paint

SIZE = (160, 96)
ENGINES = (
    "faces.detector=tests.painted:PaintedDetector",
    "faces.landmarker=tests.painted:PaintedLandmarker",
    "generate.synthesizer=tests.delivery.films:SoftSynthesizer",
    "speech.aligner=even",
    "faces.which=largest",
    "faces.min_size=8",
    "gate.action=warn",
    "parallel.backend=threading",
)
LATE = 3  # frames of a shot before a mouth changes


class SoftRenderer:
    """Lays a patch, brighter toward its middle, over the frames of a track but for its first and last ones."""

    borrowed: frozenset[int] = frozenset()

    def __init__(self, info: VideoInfo, track: FaceTrack) -> None:
        self.info, self.start, self.end = info, track.start + LATE, track.start + len(track) - LATE

    def lend(self, frame: Frame) -> None:
        """Borrows nothing."""

    def touches(self, index: int) -> bool:
        return self.start <= index < self.end

    def mask(self, index: int) -> Floats | None:
        if not self.touches(index):
            return None
        height, width = self.info.height, self.info.width
        y, x = np.mgrid[:height, :width]
        far = np.hypot((x - width / 2) / (width / 5), (y - height * 0.6) / (height / 5))
        return np.asarray(np.clip(1.5 - 1.5 * far, 0, 1), np.float32)

    def paint(self, frame: Frame, planes: tuple[Plane, ...]) -> bool:
        mask = self.mask(frame.index)
        if mask is None:
            return False
        top = 2**frame.format.depth - 1
        luma, *colors = (plane.astype(np.float32) for plane in planes)
        if not plane_format(frame.info).is_rgb:
            planes[0][...] = np.rint(luma + 0.3 * mask * (top - luma))
            return True
        # of RGB red alone: by green and blue painted faces are known
        red, blue = frame.format.weights
        now = luma + 2 * (1 - red) * (colors[1] - (top + 1) / 2)
        more = 0.3 * mask * (top - now)
        shares = red, -red / (2 * (1 - blue)), 0.5
        for plane, share, filmed in zip(planes, shares, (luma, *colors), strict=True):
            plane[...] = np.rint(np.clip(filmed + share * more, 0, top))
        return True


class SoftSynthesizer:
    """Makes `SoftRenderer`s."""

    name, version = "soft", "1"

    def __init__(self, settings: GenerateSettings, device: str = "cpu") -> None:
        """Needs nothing."""

    def face(
        self,
        info: VideoInfo,
        track: FaceTrack,
        usable: Mask,
        timing: Timing,
        row: int,
        lent: object = None,
    ) -> SoftRenderer:
        return SoftRenderer(info, track)


@dataclass(frozen=True)
class Dubbed:
    """A film that was dubbed."""

    film: Path
    dub: Path
    result: Path
    work: Path


def painted_film(
    path: Path,
    lengths: Sequence[int],
    *,
    rate: str = "25",
    video: Sequence[str] = ("-c:v", "ffv1"),
    more: Sequence[str] = (),
    seed: int = 0,
) -> Path:
    """Shots of one painted face each, at other places; every third one is empty. A list of shots lies beside it."""
    width, height = SIZE
    raw, place = path.with_suffix(".raw"), 0
    starts = [sum(lengths[:n]) for n in range(len(lengths))]
    with raw.open("wb") as file:
        for number, length in enumerate(lengths):
            for frame in range(length):
                x = 60 + 20 * ((number + seed) % 3) + 0.2 * frame
                people = [Person(number % 3, x, 36, 15, opening=0.5 + 0.4 * np.sin(place / 3))]
                picture = paint(people if number % 3 != 2 else [], width, height)
                picture[:8, :8, 0] = (37 * (number + seed)) % 256  # no blue: no face
                picture[-8:, (4 * frame) % (width - 8) :][:, :8, 1] = 200
                file.write(picture.tobytes())
                place += 1
    source = ("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", rate)
    sound = ("-f", "lavfi", "-i", "sine=300:sample_rate=48000")
    ffmpeg(*source, "-i", raw, *sound, "-shortest", "-c:a", "pcm_s16le", *video, *more, path)
    raw.unlink()
    path.with_suffix(".shots.txt").write_text("\n".join(map(str, starts)))
    return path


def dub(
    film: Path,
    *settings: str,
    name: str = "dubbed",
    cast: Path | None = None,
    consent: Path | None = None,
    reuse: Path | None = None,
) -> Dubbed:
    """Dub a painted film with a tone."""
    dub = film.with_name(f"{name}.wav")
    if not dub.exists():
        tone(dub, 2.0, rate=48000)
    shots = film.with_suffix(".shots.txt")
    config = load_config((), [*ENGINES, *settings], {"parallel.jobs": 1}, folder=film.parent)
    out = film.with_name(f"{film.stem}.{name}{film.suffix}")
    job = make_job(
        *(film, dub, config),
        out=out,
        shots=shots if shots.is_file() else None,
        reuse=reuse,
        cast=cast,
        consent=consent,
    )
    run_job(RunRequest(job, config), progress=NoProgress())
    return Dubbed(film, dub, job.output, job.work)
