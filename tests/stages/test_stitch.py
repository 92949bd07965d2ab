"""The stitch stage on real files: lengths, streams, times, copies."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from dubkit.config.schema import Config
from dubkit.errors import InputError, UsageError
from dubkit.media.audio import audio_info, load_samples
from dubkit.media.frames import FrameReader
from dubkit.media.loudness import measure
from dubkit.media.probe import probe
from dubkit.media.writer import FrameWriter
from dubkit.metrics.gate_limits import GATE, GateResult
from dubkit.records import AT_START, Job, Placement, Shot, Speech, Word
from dubkit.speech.sound_offset import Finding
from dubkit.speech.timing import SPEECH
from dubkit.stages import probe as probe_stage, stitch
from dubkit.stages.base import StageContext, StageReport
from dubkit.stages.conform import CONFORM, judge
from dubkit.stages.generate import RESULT, SEGMENT, GenerateResult
from dubkit.work.store import write_record
from tests.clips import ffmpeg, film, save_wav, timed_film, tone


def stitched(
    tmp_path: Path,
    source: Path,
    dub: Path,
    cuts: Sequence[int] = (0,),
    *,
    touched: bool = True,
    out: str = "film.mp4",
    me: Path | None = None,
    placement: Placement = AT_START,
    speech: Speech | None = None,
    **settings: Any,
) -> tuple[Path, StageReport]:
    """Run probe, encode the shots as they are, run stitch."""
    generate = settings.pop("generate", {"quality": 0})
    spoken = {"language": settings.pop("language", None)}
    config = Config.model_validate({"stitch": settings, "generate": generate, "speech": spoken})
    work = tmp_path / "work"
    folders = {name: work / name for name in ("probe", "conform", "shots", "speech", "stitch")}
    for folder in folders.values():
        folder.mkdir(parents=True)
    job = Job(source, dub, tmp_path / out, work, me=me)
    probe_stage.run(StageContext(job, config, folders["probe"], {}))
    placed = judge(Finding("nothing"), placement, "start", 0.0, config.conform)
    write_record(folders["conform"] / CONFORM, placed)
    if speech is not None:
        write_record(folders["speech"] / SPEECH, speech)
    info, pts = probe(source)
    shots = [Shot(a, b) for a, b in zip(cuts, [*cuts[1:], info.frames], strict=True)]
    write_record(folders["shots"] / "shots.json", shots, list[Shot])
    made = []
    for shot in shots:
        folder = work / shot.name
        folder.mkdir()
        with FrameWriter(folder / SEGMENT, info, config.generate) as writer:
            for frame in FrameReader(source, info, pts).read(shot.start, shot.end):
                writer.write(frame.planes, frame.pts)
        write_record(folder / RESULT, GenerateResult(shot.frames, touched, int(touched), 0, 0))
        made.append(folder)
    gates = [gated(work / f"gate-{shot.name}", shot) for shot in shots]
    inputs = {
        "probe": (folders["probe"],),
        "conform": (folders["conform"],),
        "speech": (folders["speech"],) if speech is not None else (),
        "gate": tuple(gates),
        "shots": (folders["shots"],),
        "generate": tuple(made),
    }
    report = stitch.run(StageContext(job, config, folders["stitch"], inputs))
    names = sorted(path.name for path in folders["stitch"].iterdir())
    if "credentials.json" in names:  # lies beside the film on request
        names.remove("credentials.json")
    assert names == [f"film{Path(out).suffix}"]
    return folders["stitch"] / names[0], report


def gated(folder: Path, shot: Shot) -> Path:
    """What the gate publishes of a shot that it lets through."""
    folder.mkdir()
    result = GateResult(shot.name, "keep-original", None, "", (), True, False, ())
    write_record(folder / GATE, result)
    return folder


def same_pictures(a: Path, b: Path) -> bool:
    first, times = probe(a)
    second, others = probe(b)
    pairs = zip(
        FrameReader(a, first, times).read(0, first.frames),
        FrameReader(b, second, others).read(0, second.frames),
        strict=True,
    )
    return all(
        np.array_equal(x, y) for f, g in pairs for x, y in zip(f.planes, g.planes, strict=True)
    )


@pytest.mark.parametrize("rate", ["24000/1001", "25", "30000/1001", "50"])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
def test_shots_come_back_sample_by_sample_at_their_rate(
    tmp_path: Path, rate: str, suffix: str
) -> None:
    source = film(tmp_path / f"source{suffix}", rate=rate, seconds=2)
    frames = probe(source)[0].frames
    made, _ = stitched(
        tmp_path, source, tone(tmp_path / "dub.wav", 2), (0, 7, 8, 30), out=f"film{suffix}"
    )
    info, _ = probe(made)
    assert info.rate == Fraction(rate)
    assert info.frames == frames
    assert same_pictures(source, made)


@pytest.mark.parametrize("rate", ["24000/1001", "25"])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
def test_a_film_of_one_picture_shows_it_as_long_as_before(
    tmp_path: Path, rate: str, suffix: str
) -> None:
    shown = float(1 / Fraction(rate))
    source = film(tmp_path / f"source{suffix}", rate=rate, seconds=shown, sound=False)
    assert probe(source)[0].frames == 1
    made, _ = stitched(
        tmp_path, source, tone(tmp_path / "dub.wav", 0.5), (0,), out=f"film{suffix}", touched=True
    )
    with av.open(str(made)) as media:
        packet = next(packet for packet in media.demux(video=0) if packet.size)
        seconds = float((packet.duration or 0) * (packet.time_base or 0))
    assert abs(seconds - shown) < 0.002


@pytest.mark.parametrize("codec", ["mjpeg", "rawvideo", "ffv1"])
def test_an_avi_states_the_rate_of_the_film(tmp_path: Path, codec: str) -> None:
    pixels = "yuvj422p" if codec == "mjpeg" else "yuv422p" if codec == "ffv1" else "uyvy422"
    source = film(tmp_path / "source.avi", video=("-c:v", codec, "-pix_fmt", pixels))
    made, _ = stitched(
        tmp_path, source, tone(tmp_path / "dub.wav", 1), (0, 9), out="film.avi", touched=True
    )
    with av.open(str(source)) as one, av.open(str(made)) as other:
        assert one.streams.video[0].average_rate == other.streams.video[0].average_rate == 25


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_variable_frame_times_are_kept(tmp_path: Path, suffix: str) -> None:
    times = np.cumsum([0, 3003, 3003, 6006, 1500, 9000, 3003, 3003, 2222, 4000, 5000, 3003])
    source = timed_film(tmp_path / f"source{suffix}", times.tolist(), Fraction(1, 90000))
    info, pts = probe(source)
    assert info.rate is None
    made, _ = stitched(tmp_path, source, tone(tmp_path / "dub.wav", 1), (0, 5), out=f"f{suffix}")
    back, found = probe(made)
    before = (pts - pts[0]) * info.time_base
    after = (found - found[0]) * back.time_base
    assert max(abs(a - b) for a, b in zip(before, after, strict=True)) <= back.time_base
    if suffix == ".mp4":
        assert list(before) == list(after)


def test_a_short_dub_is_followed_by_silence(tmp_path: Path) -> None:
    source = film(tmp_path / "source.mp4", seconds=2)
    made, report = stitched(tmp_path, source, tone(tmp_path / "dub.wav", 0.5))
    samples = load_samples(made)
    assert report.facts["frames"] == 50
    assert len(samples) == pytest.approx(32000, abs=1100)
    assert np.abs(samples[:7000]).max() > 0.3
    assert np.abs(samples[10000:]).max() < 0.01


def test_a_long_dub_is_cut_at_the_end_of_the_film(tmp_path: Path) -> None:
    source = film(tmp_path / "source.mp4", seconds=1)
    made, _ = stitched(tmp_path, source, tone(tmp_path / "dub.wav", 3))
    assert probe(made)[0].frames == 25
    assert audio_info(made).duration == pytest.approx(1.0, abs=0.05)


def test_freeze_holds_the_last_picture_until_the_sound_ends(tmp_path: Path) -> None:
    source = film(tmp_path / "source.mp4", seconds=1)
    made, report = stitched(tmp_path, source, tone(tmp_path / "dub.wav", 1.5), length="freeze")
    info, pts = probe(made)
    assert info.frames == report.facts["frames"] == 38
    assert audio_info(made).duration == pytest.approx(1.5, abs=0.03)
    frames = [f.planes[0].copy() for f in FrameReader(made, info, pts).read(24, 38)]
    assert all(np.array_equal(frames[0], frame) for frame in frames)


def test_shortest_ends_with_the_sound_or_at_the_next_place_to_cut(tmp_path: Path) -> None:
    source = film(tmp_path / "source.mp4", seconds=2)
    made, _ = stitched(tmp_path, source, tone(tmp_path / "dub.wav", 1), length="shortest")
    frames = probe(made)[0].frames
    assert 25 <= frames <= 29
    assert audio_info(made).duration == pytest.approx(frames / 25, abs=0.05)


def test_an_untouched_film_keeps_its_coded_pictures(tmp_path: Path) -> None:
    source = film(tmp_path / "source.mp4", seconds=1)
    made, report = stitched(
        tmp_path, source, tone(tmp_path / "dub.wav", 1), (0, 10), touched=False, generate={}
    )
    assert report.facts["copied"] is True
    assert same_pictures(source, made)


def test_an_untouched_film_of_another_codec_is_encoded(tmp_path: Path) -> None:
    source = film(tmp_path / "source.mp4", video=("-c:v", "mpeg4"))
    _, report = stitched(
        tmp_path, source, tone(tmp_path / "dub.wav", 1), touched=False, generate={"codec": "h264"}
    )
    assert report.facts["copied"] is False


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_a_turned_film_stays_turned(tmp_path: Path, degrees: int) -> None:
    plain = film(tmp_path / "plain.mp4")
    source = tmp_path / "source.mp4"
    ffmpeg("-i", plain, "-c", "copy", "-metadata:s:v:0", f"rotate={degrees}", source)
    before, _ = probe(source)
    if not before.rotation:
        pytest.skip("this ffmpeg has no rotate tag")
    made, _ = stitched(tmp_path, source, tone(tmp_path / "dub.wav", 1))
    assert probe(made)[0].rotation == before.rotation
    assert probe(made)[0].display_size == before.display_size


@pytest.mark.parametrize("codec", ["h264", "ffv1", "prores"])
def test_pixel_aspect_and_color_tags_survive(tmp_path: Path, codec: str) -> None:
    tags = ("-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709")
    shape = ("-vf", "setsar=16/11", "-color_range", "tv", "-pix_fmt", "yuv420p")
    source = film(tmp_path / "source.mkv", extra=(*tags, *shape))
    made, _ = stitched(
        tmp_path, source, tone(tmp_path / "dub.wav", 1), out="f.mkv", generate={"codec": codec}
    )
    before, after = probe(source)[0], probe(made)[0]
    assert before.pixel_aspect == Fraction(16, 11)
    assert (after.pixel_aspect, after.color) == (before.pixel_aspect, before.color)


def test_subtitles_chapters_and_metadata_go_along(tmp_path: Path) -> None:
    words = tmp_path / "words.srt"
    words.write_text("1\n00:00:00,100 --> 00:00:00,800\nHello there\n")
    marks = tmp_path / "marks.txt"
    marks.write_text(
        ";FFMETADATA1\ntitle=A test\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=500\ntitle=One\n"
    )
    plain = film(tmp_path / "plain.mkv")
    source = tmp_path / "source.mkv"
    maps = ("-map", "0", "-map", "1", "-map_metadata", "2", "-map_chapters", "2", "-c", "copy")
    language = ("-metadata:s:s:0", "language=deu")
    ffmpeg("-i", plain, "-i", words, "-i", marks, *maps, *language, source)
    for suffix in (".mkv", ".mp4"):
        place = tmp_path / suffix[1:]
        place.mkdir()
        made, _ = stitched(place, source, tone(tmp_path / "dub.wav", 1), out=f"film{suffix}")
        streams = probe(made)[0].streams
        kinds = ["video", "audio", "audio", "subtitle"]
        assert [s.kind for s in streams if s.kind != "data"] == kinds
        assert [s.language for s in streams if s.kind == "subtitle"] in (["deu"], ["ger"])
        text = tmp_path / f"back{suffix}.txt"
        ffmpeg("-i", made, "-f", "ffmetadata", text)
        assert "title=A test" in text.read_text()
        assert "[CHAPTER]" in text.read_text()


@pytest.mark.parametrize("suffix", [".mkv", ".mov", ".mp4", ".ts", ".mxf"])
def test_further_video_tracks_go_along_behind_the_one_that_is_dubbed(
    tmp_path: Path, suffix: str
) -> None:
    plain = film(tmp_path / "plain.mkv", size="96x64")
    maps = ("-map", "0:v", "-map", "0:v", "-map", "0:a", "-c:v", "libx264", "-s:v:0", "48x32")
    titles = ("-metadata:s:v:0", "title=proxy", "-disposition:v:0", "0")
    source = tmp_path / "source.mkv"
    ffmpeg("-i", plain, *maps, *titles, "-disposition:v:1", "default", source)
    assert (probe(source)[0].width, probe(source)[0].video_stream) == (96, 1)
    made, report = stitched(
        tmp_path, source, tone(tmp_path / "dub.wav", 1), out=f"film{suffix}", touched=False
    )
    assert (probe(made)[0].width, probe(made)[0].video_stream) == (96, 0)
    with av.open(str(made)) as media:
        widths = [stream.codec_context.width for stream in media.streams.video]
    told = " ".join((*report.warnings, *report.notes))
    assert "the film's stream 1 is dubbed" in told
    assert widths == ([96] if suffix == ".mxf" else [96, 48])
    assert ("stream 0 (video, h264, proxy) is left out" in told) == (suffix == ".mxf")


def test_only_the_dub_is_heard(tmp_path: Path) -> None:
    source = film(tmp_path / "source.mkv", seconds=1)
    made, _ = stitched(
        *(tmp_path, source, tone(tmp_path / "dub.wav", 1)),
        out="film.mkv",
        keep_streams=False,
        keep_audio="none",
    )
    assert [s.kind for s in probe(made)[0].streams] == ["video", "audio"]
    spectrum = np.abs(np.fft.rfft(load_samples(made)))
    assert int(spectrum.argmax()) == pytest.approx(220, abs=3)


@pytest.fixture(scope="module")
def many_tracks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film with English, German 5.1 and M+E tracks, a cover, an attachment, chapters and a time code."""
    folder = tmp_path_factory.mktemp("tracks")
    plain = film(folder / "plain.mkv", seconds=1)
    cover, note, marks = folder / "cover.png", folder / "note.txt", folder / "marks.txt"
    ffmpeg("-i", plain, "-frames:v", "1", cover)
    note.write_text("an attachment")
    marks.write_text(";FFMETADATA1\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=500\ntitle=One\n")
    wide = ("-f", "lavfi", "-i", "aevalsrc='0.1*sin(3000*t)|0|0|0|0|0':c=5.1:s=48000:d=1")
    maps = ("-map", "0:v", "-map", "0:a", "-map", "1:a", "-map", "1:a", "-map_metadata", "2")
    sounds = ("-c:v", "copy", "-c:a:0", "aac", "-c:a:1", "ac3", "-c:a:2", "pcm_s24le")
    tags = ("-metadata:s:a:0", "language=eng", "-metadata:s:a:1", "language=deu")
    titles = ("-metadata:s:a:1", "title=Deutsch 5.1", "-metadata:s:a:2", "title=M+E 5.1")
    purposes = ("-disposition:a:0", "default+original", "-disposition:a:1", "visual_impaired")
    attached = ("-attach", cover, "-metadata:s:t:0", "mimetype=image/png")
    more = ("-attach", note, "-metadata:s:t:1", "mimetype=text/plain", "-timecode", "01:00:00:00")
    path = folder / "film.mkv"
    inputs = ("-i", plain, *wide, "-i", marks)
    ffmpeg(*inputs, *maps, *sounds, *tags, *titles, *purposes, *attached, *more, path)
    return path


@pytest.mark.parametrize("suffix", [".mkv", ".mov", ".mp4"])
def test_every_sound_track_of_the_film_is_kept_after_the_dub(
    tmp_path: Path, many_tracks: Path, suffix: str
) -> None:
    dub = tone(tmp_path / "dub.wav", 1)
    made, report = stitched(
        *(tmp_path, many_tracks, dub), out=f"film{suffix}", language="fr", touched=False
    )
    tracks = [s for s in probe(made)[0].streams if s.kind == "audio"]
    assert [(t.channels, t.language) for t in tracks] == [
        (1, "fra"),
        (1, "eng"),
        (6, "deu"),
        (6, None),
    ]
    assert [t.title for t in tracks[2:]] == ["Deutsch 5.1", "M+E 5.1"]
    assert ["default" in t.purposes for t in tracks] == [True, False, False, False]
    assert tracks[2].codec == "ac3"
    assert tracks[3].codec == ("aac" if suffix == ".mp4" else "pcm_s24le")
    assert {t.rate for t in tracks[2:]} == {48000}
    told = " ".join((*report.warnings, *report.notes))
    assert ("becomes aac at 512 kb/s" in told) == (suffix == ".mp4")
    others = [s.kind for s in probe(made)[0].streams if s.kind not in ("video", "audio", "data")]
    assert others == {".mkv": ["attachment", "cover"], ".mov": [], ".mp4": ["cover"]}[suffix]
    assert ("cover art" in told) == (suffix == ".mov")
    assert ("attachment, text/plain" in told) == (suffix != ".mkv")


@pytest.mark.parametrize(("keep", "languages"), [("original", ["fra", "eng"]), ("none", ["fra"])])
def test_the_films_own_sound_can_be_left_out(
    tmp_path: Path, many_tracks: Path, keep: str, languages: list[str]
) -> None:
    dub = tone(tmp_path / "dub.wav", 1)
    made, _ = stitched(
        tmp_path, many_tracks, dub, out="f.mkv", language="fr", keep_audio=keep, touched=False
    )
    assert [s.language for s in probe(made)[0].streams if s.kind == "audio"] == languages


@pytest.mark.parametrize(
    ("suffix", "codec"), [(".mov", "pcm_s24le"), (".mkv", "pcm_s24le"), (".mp4", "aac")]
)
def test_a_deep_dub_stays_deep_where_the_container_holds_it(
    tmp_path: Path, suffix: str, codec: str
) -> None:
    source, dub = film(tmp_path / "source.mkv", seconds=1), tmp_path / "deep.wav"
    ffmpeg("-i", tone(tmp_path / "dub.wav", 0.5), "-c:a", "pcm_s24le", dub)  # silence follows it
    made, _ = stitched(tmp_path, source, dub, out=f"film{suffix}")
    assert audio_info(made).codec == codec
    if codec == "aac":
        told = stitch.plan_result(
            Job(source, dub, tmp_path / "film.mp4", tmp_path), Config.model_validate({})
        )
        assert any("becomes aac at 192 kb/s" in line for line in told)


def test_many_channels_go_where_they_can_and_are_refused_elsewhere(tmp_path: Path) -> None:
    source, dub = film(tmp_path / "source.mkv"), tmp_path / "wide.wav"
    wide = "|".join(["0.1*sin(3000*t)"] * 64)
    ffmpeg("-f", "lavfi", "-i", f"aevalsrc='{wide}':s=48000:d=1", "-c:a", "pcm_s24le", dub)
    made, _ = stitched(tmp_path, source, dub, out="film.mov")
    assert audio_info(made).channels == 64
    job = Job(source, dub, tmp_path / "film.mp4", tmp_path)
    with pytest.raises(UsageError, match="64 channels"):
        stitch.plan_result(job, Config())


def test_two_tracks_of_one_language_and_unused_tracks_of_the_dub_are_reported(
    tmp_path: Path, many_tracks: Path
) -> None:
    job = Job(many_tracks, many_tracks, tmp_path / "film.mkv", tmp_path)
    told = stitch.plan_result(job, Config.model_validate({"speech": {"language": "de"}}))
    assert any("both tagged deu" in line for line in told)
    assert any("not: deu, Deutsch 5.1" in line and "M+E 5.1" in line for line in told)


def burst(path: Path, at: float, seconds: float, rate: int = 48000) -> Path:
    """Silence with a short tone in it."""
    samples = np.zeros(round(seconds * rate), np.float32)
    first = round(at * rate)
    samples[first : first + rate // 20] = 0.5 * np.sin(np.arange(rate // 20) * 0.2)
    save_wav(path, samples, rate)
    return path


def onset(path: Path) -> float:
    samples = load_samples(path, 48000)
    return float(np.flatnonzero(np.abs(samples) > 0.1)[0]) / 48000


@pytest.mark.parametrize(
    "placement",
    [Placement(0.25), Placement(-0.25), Placement(0.1, 25025 / 25000), Placement(-0.2, 25 / 24)],
)
def test_the_dub_is_heard_where_it_is_placed(tmp_path: Path, placement: Placement) -> None:
    source, dub = film(tmp_path / "source.mkv", seconds=3), burst(tmp_path / "dub.wav", 1.5, 3)
    made, _ = stitched(tmp_path, source, dub, out="film.mov", placement=placement, touched=False)
    assert audio_info(made).codec == "pcm_s16le"
    near = (
        0.03 if placement.stretch > 1.01 else 0.004
    )  # a stretch that keeps the pitch moves by less than a frame
    assert onset(made) == pytest.approx(placement.film_time(1.5), abs=near)
    assert audio_info(made).duration == pytest.approx(3, abs=0.03)


def test_words_that_are_cut_off_are_named(tmp_path: Path) -> None:
    source, dub = film(tmp_path / "source.mkv", seconds=1), tone(tmp_path / "dub.wav", 1.4)
    words = (Word("kept", 0.2, 0.6), Word("half", 0.9, 1.1), Word("lost", 1.2, 1.4))
    said = Speech("en", 1.4, words, (), "test", "script")
    _, report = stitched(tmp_path, source, dub, speech=said, touched=False)
    assert any("0.400 s of the dub are cut off" in w and "half lost" in w for w in report.warnings)
    _, report = stitched(tmp_path / "b", source, dub, speech=said, touched=False, length="freeze")
    assert not any("cut off" in w for w in report.warnings)


@pytest.mark.parametrize("kind", ["file", "track"])
def test_music_and_effects_lie_under_the_dub_with_their_gain(tmp_path: Path, kind: str) -> None:
    under = tmp_path / "me.wav"
    ffmpeg("-f", "lavfi", "-i", "sine=1000:r=48000:d=2", "-af", "volume=-6dB", "-ac", "2", under)
    source = film(tmp_path / "source.mkv", seconds=2)
    if kind == "track":
        both = tmp_path / "both.mkv"
        ffmpeg("-i", source, "-i", under, "-map", "0", "-map", "1", "-c", "copy", both)
        source = both
    dub = tone(tmp_path / "dub.wav", 1, rate=48000)
    made, report = stitched(
        *(tmp_path, source, dub),
        out="film.mov",
        touched=False,
        keep_audio="none",
        me_gain_db=-12,
        **({"me": under} if kind == "file" else {"me_track": 2}),
    )
    assert (audio_info(made).channels, audio_info(made).codec) == (2, "pcm_s24le")
    later = np.abs(np.fft.rfft(load_samples(made, 48000)[60000:84000]))  # after the dub's end
    assert int(later.argmax()) * 2 == 1000
    whole = load_samples(under, 48000)[60000:84000]
    level = 20 * np.log10(later.max() / np.abs(np.fft.rfft(whole)).max())
    assert level == pytest.approx(-12, abs=0.3)
    early = np.abs(np.fft.rfft(load_samples(made, 48000)[12000:36000]))
    assert int(early.argmax()) * 2 == 220
    assert any("at -12 dB" in note for note in report.notes)


def test_a_mix_that_would_clip_is_limited_and_said(tmp_path: Path) -> None:
    under, dub = tmp_path / "me.wav", tone(tmp_path / "dub.wav", 2, rate=48000, level=0.9)
    ffmpeg("-f", "lavfi", "-i", "aevalsrc='0.8*sin(6283*t)':s=48000:d=2", under)
    source = film(tmp_path / "source.mkv", seconds=2)
    made, report = stitched(tmp_path, source, dub, out="film.mov", me=under, touched=False)
    assert any("limited to -1 dBTP" in warning for warning in report.warnings)
    found = measure(made, audio_info(made).stream)
    assert found is not None
    assert found.true_peak is not None
    assert found.true_peak <= -0.9
    place = tmp_path / "open"
    place.mkdir()
    _, report = stitched(
        place, source, dub, out="film.mov", me=under, touched=False, max_true_peak=None
    )
    assert any("may clip" in warning for warning in report.warnings)


def test_a_track_of_music_and_effects_that_is_not_there_is_refused(tmp_path: Path) -> None:
    job = Job(film(tmp_path / "a.mkv"), tone(tmp_path / "d.wav", 1), tmp_path / "f.mkv", tmp_path)
    with pytest.raises(UsageError, match="no sound track 3"):
        stitch.plan_result(job, Config.model_validate({"stitch": {"me_track": 3}}))


def test_music_and_effects_in_no_stated_order_are_refused_before_the_first_frame(
    tmp_path: Path,
) -> None:
    raw, under = tmp_path / "me.raw", tmp_path / "me.wav"
    raw.write_bytes(bytes(10 * 2 * 48000))
    ffmpeg("-f", "s16le", "-ar", "48000", "-ac", "10", "-i", raw, under)
    source, dub = film(tmp_path / "a.mkv"), tone(tmp_path / "d.wav", 1)
    job = Job(source, dub, tmp_path / "f.mkv", tmp_path, me=under)
    with pytest.raises(UsageError, match="10 channels in no stated order"):
        stitch.plan_result(job, Config())


def test_equal_work_gives_equal_bytes(tmp_path: Path) -> None:
    source = film(tmp_path / "source.mkv", seconds=1)
    dub = tone(tmp_path / "dub.wav", 1)
    for suffix in (".mkv", ".mp4"):
        made = []
        for name in ("a", "b"):
            place = tmp_path / (name + suffix)
            place.mkdir()
            made.append(stitched(place, source, dub, (0, 9), out="f" + suffix, generate={})[0])
        assert made[0].read_bytes() == made[1].read_bytes()


@pytest.mark.parametrize(
    ("out", "settings"),
    [
        ("film.ogv", {}),
        ("film.mp4", {"generate": {"codec": "ffv1"}}),
        ("film.mp4", {"audio_codec": "flac"}),
        ("film.mp4", {"audio_codec": "copy"}),
    ],
)
def test_a_container_that_cannot_hold_it_is_refused(
    tmp_path: Path, out: str, settings: dict[str, Any]
) -> None:
    source = film(tmp_path / "source.mkv")
    with pytest.raises(UsageError):
        stitched(tmp_path, source, tone(tmp_path / "dub.wav", 1), out=out, **settings)


@pytest.mark.parametrize(
    ("kind", "out", "codec"),
    [
        ("m4a", "f.mp4", "aac"),
        ("m4a", "f.mkv", "aac"),
        ("mp3", "f.mp4", "mp3"),
        ("wav", "f.mkv", "pcm_s16le"),
        ("wav", "f.mp4", "aac"),
        ("flac", "f.mkv", "flac"),
        ("ogg", "f.mp4", "aac"),
    ],
)
def test_the_dub_is_copied_where_the_container_takes_it(
    tmp_path: Path, kind: str, out: str, codec: str
) -> None:
    source = film(tmp_path / "source.mkv", seconds=1)
    dub = tmp_path / f"dub.{kind}"
    ffmpeg("-i", tone(tmp_path / "tone.wav", 1.02), dub)
    made, _ = stitched(tmp_path, source, dub, out=out)
    assert audio_info(made).codec == codec


def test_a_film_that_starts_late_keeps_its_dub_in_step(tmp_path: Path) -> None:
    plain = film(tmp_path / "plain.mp4", seconds=1)
    source = tmp_path / "source.ts"
    ffmpeg("-i", plain, "-c", "copy", "-output_ts_offset", "5", source)
    info, pts = probe(source)
    assert pts[0] * info.time_base > 5
    made, _ = stitched(tmp_path, source, tone(tmp_path / "dub.wav", 1), touched=False, out="f.mp4")
    back, found = probe(made)
    assert back.frames == 25
    assert abs(float(found[0] * back.time_base)) < 0.001
    assert np.abs(load_samples(made)[:800]).max() > 0.3


@pytest.mark.parametrize("name", ["a b's %03d", "-dash", "日本 \n line"])
def test_any_name_of_film_and_dub_works(tmp_path: Path, name: str) -> None:
    source = film(tmp_path / f"{name}.mkv")
    dub = tmp_path / f"{name}.wav"
    tone(tmp_path / "dub.wav", 1).rename(dub)
    made, _ = stitched(tmp_path, source, dub)
    assert probe(made)[0].frames == 25


def test_a_dub_without_sound_is_refused(tmp_path: Path) -> None:
    source = film(tmp_path / "source.mkv")
    with pytest.raises(InputError, match="has no sound"):
        stitched(tmp_path, source, film(tmp_path / "silent.mp4", sound=False))


def test_gray_pictures_freeze_too(tmp_path: Path) -> None:
    source = film(tmp_path / "source.mkv", video=("-c:v", "ffv1", "-pix_fmt", "gray"))
    dub = tone(tmp_path / "dub.wav", 1.2)
    made, _ = stitched(tmp_path, source, dub, out="film.mkv", length="freeze")
    assert probe(made)[0].frames == 30


@pytest.mark.parametrize("codec", ["libx265", "libx264"])
def test_copied_pictures_of_b_frames_start_at_zero(tmp_path: Path, codec: str) -> None:
    wanted = {"libx265": "h265", "libx264": "h264"}[codec]
    video = ("-c:v", codec, "-bf", "3", "-x265-params", "log-level=error")
    source = film(tmp_path / "source.mkv", video=video if codec == "libx265" else video[:4])
    for suffix in (".mp4", ".mkv"):
        place = tmp_path / suffix[1:]
        place.mkdir()
        made, report = stitched(
            place,
            source,
            tone(tmp_path / "dub.wav", 1),
            touched=False,
            out=f"film{suffix}",
            generate={"codec": wanted},
        )
        assert report.facts["copied"] is True
        assert same_pictures(source, made)


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_a_label_can_be_a_subtitle(tmp_path: Path, suffix: str) -> None:
    source = film(tmp_path / f"source{suffix}", seconds=1)
    shown = {"quality": 0, "label": "Dubbed with AI", "label_as": "subtitle", "label_seconds": 0.5}
    dub = tone(tmp_path / "dub.wav", 1, rate=48000)
    made, _ = stitched(tmp_path, source, dub, out=f"film{suffix}", generate=shown)
    ffmpeg("-i", made, "-map", "0:s:0", tmp_path / "label.srt")
    text = (tmp_path / "label.srt").read_text()
    assert re.search(r"00:00:00,00\d --> 00:00:00,50\d\nDubbed with AI", text)
    kinds = [stream.kind for stream in probe(made)[0].streams]
    assert kinds == ["video", "audio", "audio", "subtitle"]
    assert same_pictures(source, made)


def test_a_container_without_text_refuses_a_label_as_subtitle(tmp_path: Path) -> None:
    source = film(tmp_path / "source.ts", seconds=1)
    config = Config.model_validate({"generate": {"label": "AI", "label_as": "subtitle"}})
    job = Job(source, tone(tmp_path / "dub.wav", 1), tmp_path / "film.ts", tmp_path / "work")
    with pytest.raises(UsageError, match="holds no label"):
        stitch.plan_result(job, config)
