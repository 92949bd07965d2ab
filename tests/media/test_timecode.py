"""Time codes at every rate, by the rules of SMPTE ST 12-1."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from dubkit.errors import InputError
from dubkit.media.timecode import Clock, of_film, read, seconds_of
from tests.clips import film

NTSC, DOUBLE, CINEMA = Fraction(30000, 1001), Fraction(60000, 1001), Fraction(24000, 1001)


@pytest.mark.parametrize(
    ("code", "rate", "frame"),
    [
        ("01:00:00:00", Fraction(25), 90000),
        ("01:00:00:00", CINEMA, 86400),
        ("00:00:59;29", NTSC, 1799),
        ("00:01:00;02", NTSC, 1800),
        ("00:10:00;00", NTSC, 17982),
        ("01:00:00;00", NTSC, 107892),
        ("01:00:00:00", NTSC, 108000),
        ("00:01:00;04", DOUBLE, 3600),
        ("01:00:00;00", DOUBLE, 215784),
        ("23:59:59;59", DOUBLE, 5178815),
    ],
)
def test_a_time_code_is_a_frame_and_back(code: str, rate: Fraction, frame: int) -> None:
    found, clock = read(code, rate)
    assert found == frame
    assert clock.text(frame) == code
    assert clock.text(frame + clock.day) == code


@pytest.mark.parametrize("rate", [NTSC, DOUBLE])
def test_every_frame_of_drop_frame_has_its_own_code(rate: Fraction) -> None:
    clock = Clock(rate, drop=True)
    minutes = range(0, 21 * 60 * clock.nominal, 7)
    assert all(read(clock.text(frame), rate) == (frame, clock) for frame in minutes)


@pytest.mark.parametrize(
    ("code", "rate", "why"),
    [
        ("01:00:00:25", Fraction(25), "no time code"),
        ("24:00:00:00", Fraction(25), "no time code"),
        ("01:00:00;00", Fraction(25), "only at 29.97"),
        ("00:01:00;01", NTSC, "leaves out"),
        ("one o'clock", NTSC, "not a time code"),
    ],
)
def test_what_is_no_time_code_is_refused(code: str, rate: Fraction, why: str) -> None:
    with pytest.raises(InputError, match=why) as caught:
        read(code, rate)
    assert "--timecode" in str(caught.value.hint)
    assert seconds_of(code, rate) is None


def test_seconds_are_those_of_the_clock() -> None:
    assert seconds_of("01:00:00:00", CINEMA) == pytest.approx(3603.6)
    assert seconds_of("01:00:00;00", NTSC) == pytest.approx(3599.9964)


def test_a_film_states_its_time_code_and_reel(tmp_path: Path) -> None:
    tags = ("-timecode", "10:00:00;00", "-metadata:s:v:0", "reel_name=A001")
    path = film(tmp_path / "a.mov", rate="30000/1001", seconds=0.2, sound=False, extra=tags)
    assert of_film(path) == ("10:00:00;00", "A001")
    assert of_film(film(tmp_path / "b.mkv", seconds=0.2, sound=False)) == (None, None)
