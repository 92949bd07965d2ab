"""Patches: conformed onto the film they are the dubbed film, at every rate; with alpha, laid over it, too."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import cv2
import numpy as np
import opentimelineio as otio
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

from dubkit.cli.app import app
from dubkit.delivery import DeliveryRequest, deliver
from dubkit.delivery.cut_list import read_timeline
from dubkit.delivery.patches import Delivered
from dubkit.errors import InputError, OutputError, UsageError, WorkError
from dubkit.media import timecode
from dubkit.media.frames import FrameReader
from dubkit.media.probe import probe
from dubkit.media.process import find_program, run
from dubkit.progress import NoProgress
from tests.delivery.films import LATE, Dubbed, dub, painted_film

LENGTHS = (16, 14, 10)  # the third shot shows nobody
runner = CliRunner()


def delivered(job: Dubbed, **options: Any) -> Delivered:
    return deliver(DeliveryRequest(job.work, overwrite=True, **options), NoProgress())


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Dubbed:
    """A finished job: FFV1 with a time code, two of three shots changed."""
    folder = tmp_path_factory.mktemp("job")
    tags = ("-metadata", "timecode=10:00:00:00", "-metadata", "reel_name=A001_C002")
    return dub(painted_film(folder / "movie.mkv", LENGTHS, more=tags))


def picture_hash(*arguments: str | Path) -> str:
    argv = [str(find_program("ffmpeg")), "-v", "error", *map(str, arguments)]
    return run([*argv, "-an", "-pix_fmt", "yuv444p16le", "-f", "md5", "-"]).decode().strip()


def conformed(film: Path, clips: Sequence[tuple[Path, int, int, int]], frames: int) -> str:
    """The hash of a film on which files lie: file, its first frame that is used, and the place on the film."""
    inputs: list[str | Path] = ["-i", film]
    parts, at = [], 0
    for number, (path, first, start, end) in enumerate(clips, 1):
        inputs += ["-i", path]
        parts.append(f"[0:v]trim=start_frame={at}:end_frame={start},setpts=PTS-STARTPTS")
        last = first + end - start
        parts.append(f"[{number}:v]trim=start_frame={first}:end_frame={last},setpts=PTS-STARTPTS")
        at = end
    parts.append(f"[0:v]trim=start_frame={at}:end_frame={frames},setpts=PTS-STARTPTS")
    names = "".join(f"[p{n}]" for n in range(len(parts)))
    graph = ";".join(f"{part}[p{n}]" for n, part in enumerate(parts))
    return picture_hash(*inputs, "-filter_complex", f"{graph};{names}concat=n={len(parts)}[v]",
                        "-map", "[v]", "-fps_mode", "passthrough")  # fmt: skip


@pytest.mark.parametrize(
    ("rate", "code"),
    [
        ("24000/1001", "00:59:59:20"),
        ("25", "10:00:00:00"),
        ("25", "23:59:59:10"),  # it wraps at midnight, within a shot
        ("30000/1001", "00:59:59;25"),
        ("30000/1001", "00:59:59:25"),
        ("60000/1001", "01:08:59;50"),
    ],
)
def test_lists_conform_the_dubbed_film_frame_by_frame(tmp_path: Path, rate: str, code: str) -> None:
    video, tags = ("-c:v", "v210"), ("-timecode", code)
    film = painted_film(tmp_path / "m.mov", LENGTHS, rate=rate, video=video, more=tags)
    job = dub(film, "gate.action=off")
    made = delivered(job)
    whole = picture_hash("-i", job.result)
    begins, clock = timecode.read(code, Fraction(rate))
    expected = [(LATE, 16 - LATE), (16 + LATE, 30 - LATE)]
    assert [(s.timecode_in, s.timecode_out) for s in made.record.shots] == [
        (clock.text(begins + a), clock.text(begins + b)) for a, b in expected
    ]
    for shot in made.record.shots:
        assert timecode.of_film(made.folder / shot.file)[0] == shot.file_timecode
    for suffix in (".otio", ".edl"):
        timeline = read_timeline(made.folder / f"m{suffix}", clock.rate)
        assert conformed(film, placed(made, timeline, begins), 40) == whole
    assert fcpxml_places(made, begins, clock.rate) == expected
    assert ("midnight" in " ".join(made.record.remarks)) == (code[:2] == "23")
    counting = "DF" if clock.drop else "NDF"
    assert f'tcFormat="{counting}"' in (made.folder / "m.fcpxml").read_text()


def placed(
    made: Delivered, timeline: otio.schema.Timeline, begins: int
) -> list[tuple[Path, int, int, int]]:
    """Where a list puts its clips, by source and record times that must agree with one another."""
    found = []
    files = {shot.file: shot for shot in made.record.shots}
    start = timeline.global_start_time
    for clip in timeline.find_clips():
        shot = files.get(clip.name)
        if shot is None:
            continue
        used = clip.trimmed_range()
        inside = clip.transformed_time_range(used, timeline.tracks)
        record = round(inside.start_time.value + (start.value if start else 0)) - begins
        source = round(used.start_time.value) - begins
        assert used.start_time.value == round(used.start_time.value)
        assert source == record
        first = source + shot.handle_before - record
        found.append((made.folder / clip.name, first, record, record + round(used.duration.value)))
    assert len(found) == len(files)
    return found


def fcpxml_places(made: Delivered, begins: int, rate: Fraction) -> list[tuple[int, int]]:
    root = ElementTree.fromstring((made.folder / "m.fcpxml").read_text())
    found = []
    for clip in root.iterfind(".//asset-clip[@lane='1']"):
        place, length = (
            Fraction(clip.get(name, "").removesuffix("s")) * rate for name in ("offset", "duration")
        )
        assert (place.denominator, length.denominator) == (1, 1)
        assert clip.get("start") == clip.get("offset")
        found.append((int(place) - begins, int(place + length) - begins))
    return found


def test_names_lists_and_the_record_agree(job: Dubbed) -> None:
    made = delivered(job, handles=2)
    record = json.loads((made.folder / "delivery.json").read_text())
    assert (record["timecode"], record["reel"]) == ("10:00:00:00", "A001_C002")
    first, second = record["shots"]
    assert first["file"] == "movie_A001_C00_0000000-0000016_10-00-00-01.mkv"
    assert (first["handle_before"], first["handle_after"], first["frames"]) == (2, 2, 10)
    assert (second["file_timecode"], second["file_frames"]) == ("10:00:00:17", 12)
    assert record["unchanged"] == 1
    assert first["findings"]  # the patch is seen by the gate
    marks = [
        m
        for c in read_timeline(made.folder / "movie.edl", Fraction(25)).find_clips()
        for m in c.markers
    ]
    assert len(marks) == len(first["findings"]) + len(second["findings"])
    sound = json.loads(run([str(shutil.which("ffprobe")), "-v", "error", "-of", "json", "-show_streams",
                            str(made.folder / "movie_dub.wav")]))  # fmt: skip
    assert float(sound["streams"][0]["duration"]) == pytest.approx(1.6, abs=1e-3)
    files = {path.name for path in made.folder.iterdir()} - {"delivery.json"}
    assert files == {s["file"] for s in record["shots"]} | {f["file"] for f in record["files"]}


def test_handles_end_at_the_cut(job: Dubbed) -> None:
    first, second = delivered(job, handles=100).record.shots
    assert (first.handle_before, first.handle_after, first.file_frames) == (LATE, LATE, 16)
    assert (second.handle_before, second.handle_after, second.file_frames) == (LATE, LATE, 14)


def test_where_frames_depend_on_others_the_file_is_the_whole_shot(tmp_path: Path) -> None:
    video = ("-c:v", "libx264", "-qp", "0", "-g", "250")
    film = painted_film(tmp_path / "m.mkv", LENGTHS, video=video)
    job = dub(film, "gate.action=off", "generate.quality=0")
    made = delivered(job, handles=1)
    assert [shot.file_frames for shot in made.record.shots] == [16, 14]
    assert all(shot.copied for shot in made.record.shots)
    assert any("states no time code" in remark for remark in made.record.remarks)
    timeline = read_timeline(made.folder / "m.otio", Fraction(25))
    assert conformed(film, placed(made, timeline, 0), 40) == picture_hash("-i", job.result)


def colors(path: Path, start: int, end: int) -> list[NDArray[np.float64]]:
    info, pts = probe(path)
    return [frame.rgb16() / 65535 for frame in FrameReader(path, info, pts).read(start, end)]


@pytest.mark.parametrize("alpha", ["straight", "premultiplied"])
@pytest.mark.parametrize("codec", ["png", "exr", "prores_4444"])
def test_laid_over_the_film_alpha_gives_the_dubbed_film(
    job: Dubbed, codec: str, alpha: str
) -> None:
    made = delivered(job, codec=codec, alpha=alpha, handles=1)
    shot = made.record.shots[0]
    assert made.record.alpha == alpha
    path = made.folder / shot.file
    layers = prores(path) if codec == "prores_4444" else sequence(sorted(path.iterdir()))
    first, last = LATE - 1, 16 - LATE + 1
    assert len(layers) == last - first == shot.file_frames
    filmed, dubbed = colors(job.film, first, last), colors(job.result, first, last)
    assert layers[0][..., 3].max() == 0  # a handle
    assert 0.05 < (layers[3][..., 3] > 0.5).mean() < 0.3
    allowed = 0.03 if codec == "prores_4444" else 0.0002
    for layer, under, wanted in zip(layers, filmed, dubbed, strict=True):
        color, soft = layer[..., :3], layer[..., 3:]
        over = color * (soft if alpha == "straight" else 1) + (1 - soft) * under
        assert np.abs(np.clip(over, 0, 1) - wanted).max() <= allowed


def sequence(paths: Sequence[Path]) -> list[NDArray[np.float64]]:
    assert paths[0].name.split(".")[-2] == f"{36000 * 25 + LATE - 1:08d}"
    if paths[0].suffix == ".png":
        pictures = [cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in paths]
        return [picture[..., [2, 1, 0, 3]] / 65535 for picture in pictures if picture is not None]
    stem, number, _ = paths[0].name.split(".")
    pattern = paths[0].with_name(f"{stem}.%08d.exr")
    argv = [str(find_program("ffmpeg")), "-v", "error", "-start_number", number, "-i", str(pattern)]
    raw = run([*argv, "-f", "rawvideo", "-pix_fmt", "gbrapf32le", "-"])
    green_blue_red_soft = np.frombuffer(raw, np.float32).reshape(-1, 4, 96, 160)
    return list(green_blue_red_soft[:, [2, 0, 1, 3]].transpose(0, 2, 3, 1).astype(np.float64))


def prores(path: Path) -> list[NDArray[np.float64]]:
    argv = [str(find_program("ffmpeg")), "-v", "error", "-i", str(path), "-f", "rawvideo"]
    raw = run([*argv, "-pix_fmt", "rgba64le", "-"])
    return list(np.frombuffer(raw, np.uint16).reshape(-1, 96, 160, 4) / 65535)


def test_otio_knows_sequences(job: Dubbed) -> None:
    made = delivered(job, codec="png", handles=0)
    clip = next(
        c for c in read_timeline(made.folder / "movie.otio", Fraction(25)).find_clips()
        if isinstance(c.media_reference, otio.schema.ImageSequenceReference)
    )  # fmt: skip
    media = clip.media_reference
    assert (made.folder / media.target_url_for_image_number(0)).is_file()
    assert media.end_frame() - media.start_frame + 1 == 10


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"codec": "betamax"}, UsageError, "--codec cannot be"),
        ({"alpha": "curved"}, UsageError, "--alpha cannot be"),
        ({"kind": "reels"}, UsageError, "--as cannot be"),
        ({"handles": -1}, UsageError, "handles"),
        ({"timecode": "10:00:00:25"}, InputError, "no time code"),
        ({"timecode": "10:00:00;00"}, InputError, "drop frame"),
    ],
)
def test_what_cannot_be_delivered_is_refused(
    job: Dubbed, tmp_path: Path, options: dict[str, Any], kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind, match=words):
        delivered(job, out=tmp_path / "out", **options)
    assert not list(tmp_path.iterdir())


def test_only_an_earlier_delivery_gives_way(job: Dubbed, tmp_path: Path) -> None:
    request = DeliveryRequest(job.work, tmp_path / "out")
    deliver(request, NoProgress())
    with pytest.raises(OutputError, match="exists already"):
        deliver(request, NoProgress())
    deliver(replace(request, overwrite=True), NoProgress())
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").touch()
    with pytest.raises(OutputError, match="exists already"):
        deliver(DeliveryRequest(job.work, tmp_path / "mine", overwrite=True), NoProgress())
    assert (tmp_path / "mine" / "letter.txt").exists()


def test_an_unfinished_job_is_refused(job: Dubbed, tmp_path: Path) -> None:
    work = shutil.copytree(job.work, tmp_path / "work.dubkit")
    (line,) = work.glob("dub-*/stitch/job/receipt.json")
    line.unlink()
    with pytest.raises(WorkError, match="not finished"):
        deliver(DeliveryRequest(work, tmp_path / "out"), NoProgress())


def test_the_command_says_what_was_delivered(job: Dubbed, tmp_path: Path) -> None:
    words = ["deliver", str(job.work), "--out", str(tmp_path / "p"), "--json"]
    done = runner.invoke(app, words)
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["folder"] == str(tmp_path / "p")
    assert [shot["copied"] for shot in told["shots"]] == [True, True]


def test_a_film_without_a_change_has_no_patches(tmp_path: Path) -> None:
    film = painted_film(tmp_path / "m.mkv", (8,))
    job = dub(film, "generate.synthesizer=passthrough")
    made = delivered(job)
    assert not made.record.shots
    assert any("no shot changed" in remark for remark in made.record.remarks)
