"""The end of a run, in lines."""

from __future__ import annotations

from pathlib import Path

from dubkit.cli.run_summary import places, summary
from dubkit.pipeline.result import RunResult, ShotEnd
from dubkit.progress import ShotName

NAMES = [ShotName(n, f"00:00:{2 * n:02d}:00") for n in range(1, 13)]


def end(number: int, how: str = "dubbed", why: str = "") -> ShotEnd:
    return ShotEnd(f"{50 * number:07d}-{50 * number + 50:07d}", NAMES[number - 1], how, why)  # type: ignore[arg-type]


def test_neighbors_are_a_range() -> None:
    chosen = [NAMES[n - 1] for n in (9, 2, 5, 6, 7)]
    assert places(chosen) == ("shot 2, 00:00:04:00; shots 5-7, 00:00:10:00; shot 9, 00:00:18:00")


def test_many_places_are_cut_short() -> None:
    assert places(NAMES[::2]).endswith("shot 9, 00:00:18:00; 1 more")


def test_shots_are_grouped_by_what_became_of_them() -> None:
    shots = (
        end(1),
        end(2, "as filmed", "no face"),
        end(3, "as filmed", "no face"),
        end(4, "refused", "the mouth is blurred (0.12)"),
        end(5, "failed", "generate: out of memory"),
        end(6, "refused", "rejected: the chin smears"),
    )
    warned = tuple(f"shot {shot.shot}: a small face" for shot in shots[:2])
    result = RunResult(
        Path("/films/film.dubbed.mp4"),
        10,
        warnings=("the dub is too long", *warned),
        shots=shots,
        people={"Anna": 1.0, "Boris": 2.5},
        work=Path("/films/film.dubbed.dubkit"),
        frames=250,
        seconds=10.0,
    )
    assert list(summary(result)) == [
        "6 shots: 1 dubbed, 2 as filmed, 1 refused by the gate, 1 rejected by a verdict, 1 failed",
        "  as filmed, no face: shots 2-3, 00:00:04:00",
        "  refused by the gate, the mouth is blurred (0.12): shot 4, 00:00:08:00",
        "  rejected by a verdict: the chin smears: shot 6, 00:00:12:00",
        "  failed, generate: out of memory: shot 5, 00:00:10:00",
        "people dubbed: Boris (2.5 s), Anna (1.0 s)",
        "warning: the dub is too long",
        "warning: a small face (shots 1-2, 00:00:02:00)",
        "250 frames in 0:10, 25.0 frames/s",
        "review every shot: dubkit report /films/film.dubbed.dubkit",
        "/films/film.dubbed.mp4",
    ]


def test_reasons_that_differ_by_their_figure_are_one() -> None:
    why = [f"the mouth is blurred ({figure})" for figure in ("0.12", "0.30")]
    lines = list(
        summary(RunResult(None, 10, shots=(end(1, "refused", why[0]), end(3, "refused", why[1]))))
    )
    assert (
        "  refused by the gate, the mouth is blurred: shot 1, 00:00:02:00; shot 3, 00:00:06:00"
        in lines
    )


def test_a_film_without_a_dubbed_face_is_said_to_be_one() -> None:
    shots = (end(1, "as filmed", "no face clearly speaks"),)
    lines = list(summary(RunResult(None, 0, shots=shots)))
    assert "no face in this film was dubbed: only its sound is new" in lines
    assert any("--faces largest" in line for line in lines)
