"""Inputs from strangers: nothing but the named files is opened, and no header is believed about memory."""

from __future__ import annotations

import io
import resource
import socket
import struct
import threading
import zipfile
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from typer.testing import CliRunner, Result

from dubkit.batches.find_jobs import read_list
from dubkit.cli.app import app
from dubkit.config.presets import load_config
from dubkit.errors import ConfigError, InputError, ToolError, WorkError
from dubkit.faces.selection import load_tracks
from dubkit.media.audio import load_samples
from dubkit.media.mux import Parts, mux
from dubkit.media.probe import probe
from dubkit.media.shotlist import read_shots
from dubkit.media.streams import Sound, StreamPlan
from dubkit.stages.probe import load_film
from tests.clips import ffmpeg, film, tone


class Listener:
    """A server on this machine that nobody may call."""

    def __init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.calls = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            self.calls += 1
            connection.close()


@pytest.fixture
def listener() -> Iterator[Listener]:
    listener = Listener()
    yield listener
    listener.socket.close()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    film(tmp_path / "film.mp4", seconds=0.6)
    tone(tmp_path / "dub.wav", 0.6)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(movie: str, dub: str, *more: str) -> Result:
    return CliRunner().invoke(app, ["run", "--audio", dub, "--jobs", "1", *more, "--", movie])


def lures(port: int) -> dict[str, str]:
    """Files that would have a player open something else."""
    url = f"http://127.0.0.1:{port}/x.ts"
    return {
        "list.m3u8": f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{url}\n#EXT-X-ENDLIST\n",
        "list.ffconcat": f"ffconcat version 1.0\nfile '{url}'\n",
        "local.ffconcat": "ffconcat version 1.0\nfile 'film.mp4'\n",
        "list.mpd": f'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" '
        f'type="static" mediaPresentationDuration="PT9S"><Period><AdaptationSet><Representation '
        f'id="1" bandwidth="1"><BaseURL>{url}</BaseURL></Representation></AdaptationSet></Period></MPD>',
        "list.sdp": f"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
        f"m=video {port} RTP/AVP 96\na=rtpmap:96 H264/90000\n",
        "list.asx": f'<asx version="3.0"><entry><ref href="{url}"/></entry></asx>',
        "list.ram": f"rtsp://127.0.0.1:{port}/x\n",
        "list.rtsp": f"[Reference]\nRef1={url}\n",
    }


@pytest.mark.parametrize("kind", sorted(lures(0)))
@pytest.mark.parametrize("suffix", ["", ".mp4"])
def test_a_list_of_other_files_or_addresses_is_no_film_and_no_dub(
    here: Path, listener: Listener, kind: str, suffix: str
) -> None:
    name = kind + suffix
    (here / name).write_text(lures(listener.port)[kind], encoding="utf-8")
    for result in (run(name, "dub.wav"), run("film.mp4", name)):
        assert result.exit_code == 3, result.output
        assert name in result.stderr
    assert listener.calls == 0


@pytest.mark.parametrize("name", ["concat:film.mp4|film.mp4", "subfile,,start,0,end,9,,:film.mp4"])
def test_a_name_is_a_name_and_no_protocol(here: Path, listener: Listener, name: str) -> None:
    assert run(name, "dub.wav").exit_code == 3
    address = f"http://127.0.0.1:{listener.port}/film.mp4"
    assert run(address, "dub.wav").exit_code == 3
    assert run("film.mp4", address).exit_code == 3
    (here / "film.mp4").rename(here / name)
    done = run(name, "dub.wav", "--out", "out.mp4", "--set", "generate.synthesizer=passthrough")
    assert done.exit_code == 0, done.output
    assert listener.calls == 0


def test_ffmpeg_is_not_led_elsewhere_either(here: Path, listener: Listener) -> None:
    """As if the film had become a playlist after it was checked."""
    (here / "film.nut").write_text(lures(listener.port)["list.m3u8"])
    info, _ = probe(here / "film.mp4")
    dub, plan = Sound("copy"), StreamPlan()
    parts = Parts(
        here / "film.mp4",
        here / "dub.wav",
        here / "film.nut",
        info,
        0.0,
        0.6,
        dub,
        0,
        plan,
        "h264",
        True,
    )
    with pytest.raises(ToolError):
        mux(parts, here / "out.mkv")
    assert listener.calls == 0


def test_a_picture_size_is_not_believed_before_there_is_a_limit(here: Path) -> None:
    path = here / "large.avi"
    ffmpeg("-i", here / "film.mp4", "-an", "-c:v", "ffvhuff", path)
    raw = bytearray(path.read_bytes())
    spot = raw.index(b"strf") + 8 + 4
    raw[spot : spot + 8] = struct.pack("<ii", 60_000, 60_000)
    path.write_bytes(raw)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    result = run("large.avi", "dub.wav")
    assert result.exit_code == 3, result.output
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KiB
    with pytest.raises(InputError, match="more than the limit"):
        probe(here / "film.mp4", max_pixels=96 * 64 - 1)


def test_a_sound_that_says_it_is_endless_is_as_long_as_it_is(here: Path) -> None:
    raw = bytearray((here / "dub.wav").read_bytes())
    raw[4:8] = raw[40:44] = struct.pack("<I", 0xFFFFFFF0)
    (here / "dub.wav").write_bytes(raw)
    assert len(load_samples(here / "dub.wav")) == pytest.approx(9600, abs=10)


def test_a_hole_of_years_in_a_dub_is_damage(here: Path) -> None:
    with av.open("late.mkv", "w") as target:
        stream = target.add_stream("pcm_s16le", rate=16000)
        for pts in (0, 16000 * 2_000_000):
            frame = av.AudioFrame.from_ndarray(np.ones((1, 1600), np.int16), "s16", "mono")
            frame.sample_rate, frame.pts, frame.time_base = 16000, pts, Fraction(1, 16000)
            target.mux(stream.encode(frame))
    with pytest.raises(InputError, match="a gap of"):
        load_samples(here / "late.mkv")


def test_arrays_that_say_they_are_larger_than_their_file_are_damaged(tmp_path: Path) -> None:
    header = io.BytesIO()
    huge = {"descr": "<f8", "fortran_order": False, "shape": (10**12,)}
    np.lib.format.write_array_header_1_0(header, huge)
    (tmp_path / "pts.npy").write_bytes(header.getvalue() + bytes(64))
    with zipfile.ZipFile(tmp_path / "tracks.npz", "w") as packed:
        packed.writestr("starts.npy", header.getvalue() + bytes(64))
    with pytest.raises(WorkError):
        load_film(tmp_path)
    with pytest.raises(WorkError):
        load_tracks(tmp_path)
    zeros = bytes(2**26)
    with zipfile.ZipFile(tmp_path / "tracks.npz", "w", zipfile.ZIP_DEFLATED) as packed:
        for number in range(65):  # 4 GiB in 4 MiB
            packed.writestr(f"{number}.npy", zeros)
    with pytest.raises(WorkError, match="unpacks"):
        load_tracks(tmp_path)


@pytest.mark.parametrize("path", ["../secret.toml", "/etc/secret.toml", "sub/../../secret"])
def test_a_preset_extends_no_file_elsewhere(tmp_path: Path, path: str) -> None:
    (tmp_path / "mine.toml").write_text(f'extends = "{path}"\n')
    with pytest.raises(ConfigError, match="which is a path"):
        load_config([str(tmp_path / "mine.toml")])


@pytest.mark.parametrize("video", ["../film.mp4", "/etc/passwd", "sub/../../film.mp4"])
def test_a_job_list_leads_to_no_file_elsewhere(tmp_path: Path, video: str) -> None:
    (tmp_path / "lists").mkdir()
    (tmp_path / "film.mp4").write_bytes(b"x")
    jobs = tmp_path / "lists" / "jobs.csv"
    jobs.write_text(f"video,audio\n{video},{video}\n")
    (row,) = read_list(jobs)
    assert row.problems


def test_tables_nested_or_long_beyond_reason_are_told_in_a_sentence(tmp_path: Path) -> None:
    deep = "x = " + "[" * 100_000
    (tmp_path / "deep.toml").write_text(deep)
    with pytest.raises(ConfigError):
        load_config([str(tmp_path / "deep.toml")])
    with pytest.raises(InputError):
        read_list(tmp_path / "deep.toml")
    with pytest.raises(ConfigError):
        load_config(settings=["faces.which=" + "[" * 100_000])
    (tmp_path / "long.toml").write_text("x = " + "3" * 5000)
    with pytest.raises(ConfigError):
        load_config([str(tmp_path / "long.toml")])
    with pytest.raises(InputError):
        read_list(tmp_path / "long.toml")
    with pytest.raises(ConfigError):
        load_config(settings=["faces.which=" + "3" * 5000])
    (tmp_path / "wide.csv").write_text('"' + "x" * 200_000 + '",audio\n')
    with pytest.raises(InputError):
        read_list(tmp_path / "wide.csv")


def test_a_shot_list_is_small_and_its_numbers_too(tmp_path: Path) -> None:
    path = tmp_path / "shots.txt"
    path.write_text("9" * 6000)
    with pytest.raises(InputError) as caught:
        read_shots(path, 10)
    assert len(caught.value.message) < 300
    path.write_bytes(bytes(17 * 2**20))
    with pytest.raises(InputError, match="larger than"):
        read_shots(path, 10)
