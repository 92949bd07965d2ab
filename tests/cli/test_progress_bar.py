from __future__ import annotations

import io
import json
import time

import pytest
from rich.console import Console

from dubkit.cli.events import Result
from dubkit.cli.progress_bar import (
    JsonReporter,
    LineReporter,
    LiveReporter,
    QuietReporter,
    Reporter,
    reporting,
)
from dubkit.progress import Meter, Overall, WholeBatch, clock_text


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_time_left_ignores_what_an_earlier_run_finished() -> None:
    meter = Meter(units=10, current=8, frames=200, begun=0.0)
    meter.advance(100, failed=False, now=4.0)
    assert meter.speed == 25.0
    assert meter.left(4.0) == pytest.approx(4.0)
    assert meter.left(6.0) == pytest.approx(2.0)
    assert meter.describe(4.0) == "9/10 shots, 25.0 frames/s, 0:04 left"


def test_time_left_goes_by_frames_not_by_shots() -> None:
    meter = Meter(units=2, current=0, frames=1000, begun=0.0)
    meter.advance(900, failed=False, now=9.0)
    assert meter.left(9.0) == pytest.approx(1.0)


def test_time_left_is_unknown_before_the_first_unit() -> None:
    meter = Meter(units=2, current=1, frames=100, begun=0.0)
    assert meter.left(50.0) is None
    assert meter.describe(50.0) == "1/2 shots"


def test_frames_of_a_long_shot_count_while_it_is_under_way() -> None:
    frames = [0]
    meter = Meter(units=1, current=0, frames=1000, begun=0.0, live=lambda: frames[0])
    assert meter.describe(5.0) == "0/1"
    frames[0] = 250
    assert meter.share == 0.25
    assert meter.left(5.0) == pytest.approx(15.0)
    assert meter.describe(5.0) == "0/1, 250 of 1000 frames, 0:15 left"
    frames[0] = 5000
    assert meter.share == 1.0, "frames that are looked at twice are no more than there are"


def test_a_bar_moves_within_a_shot() -> None:
    live = LiveReporter(Console(file=io.StringIO(), width=100, force_terminal=True))
    live.watch(lambda: {"generate": 300})
    live.expect(["generate"])
    live.plan("generate", 1, 0, 600)
    shown = io.StringIO()
    console = Console(file=shown, width=100)
    console.print(live.bars.get_renderable())
    assert "300 of 600 frames" in shown.getvalue()
    assert "50 %" in shown.getvalue()


def test_json_says_how_far_a_long_shot_is(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    reporter = JsonReporter(clock)
    reporter.watch(lambda: {"generate": 300})
    reporter.expect(["generate"])
    reporter.plan("generate", 1, 0, 600)
    clock.now += 6
    reporter.show_alive()
    reporter.finish(Result("done", 0))
    clock.now += 60
    reporter.show_alive()
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["event"] for line in lines] == ["plan", "progress", "result"]
    assert lines[1]["share"] == 0.5


def test_a_stage_without_pictures_goes_by_units() -> None:
    meter = Meter(units=4, current=0, frames=0, begun=0.0)
    meter.advance(0, failed=True, now=2.0)
    assert meter.speed is None
    assert meter.left(2.0) == pytest.approx(6.0)
    assert "1 failed" in meter.describe(2.0)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0:00"), (59.6, "1:00"), (83, "1:23"), (3723, "1:02:03")]
)
def test_times_read_as_a_clock(seconds: float, text: str) -> None:
    assert clock_text(seconds) == text


def run_through(reporter: Reporter) -> None:
    reporter.plan("faces", 3, 1, 200)
    reporter.advance("faces", "0000000-0000100", 100, 1.5, None)
    reporter.note("faces: embedded engine [v1]")
    reporter.warn("no face in shot 2 :v:0")
    reporter.advance("faces", "0000100-0000200", 100, 1.5, "decoder failed")
    reporter.finish(Result("done", 0))


def test_without_a_terminal_progress_is_timed_lines_on_stderr(
    capsys: pytest.CaptureFixture[str],
) -> None:
    clock = Clock()
    reporter = LineReporter(clock)
    clock.now += 62
    run_through(reporter)
    out, err = capsys.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert lines[0] == " 1:02 faces: 1 of 3 done earlier, kept"
    assert " 1:02 faces: embedded engine [v1]" in lines
    assert " 1:02 warning: no face in shot 2 :v:0" in lines
    assert " 1:02 faces of shot 0000100-0000200 failed: decoder failed" in lines
    assert lines[-1].startswith(" 1:02 faces: 3/3 shots")


def test_lines_of_one_stage_are_seconds_apart(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    reporter = LineReporter(clock)
    reporter.plan("generate", 100, 0, 10000)
    for unit in range(100):
        clock.now += 0.5
        reporter.advance("generate", str(unit), 100, 0.5, None)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 10
    assert "200.0 frames/s" in lines[0]


def test_quiet_shows_only_what_went_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    run_through(QuietReporter())
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "warning: no face in shot 2 :v:0",
        "warning: faces of shot 0000100-0000200 failed: decoder failed",
    ]


def test_json_is_one_object_a_line_and_the_last_is_the_result(
    capsys: pytest.CaptureFixture[str],
) -> None:
    run_through(JsonReporter(Clock()))
    out, err = capsys.readouterr()
    assert err == ""
    events = [json.loads(line) for line in out.splitlines()]
    assert [event["event"] for event in events] == [
        "plan",
        "unit",
        "note",
        "warning",
        "unit",
        "result",
    ]
    assert events[0] == {
        "event": "plan",
        "time": 0.0,
        "stage": "faces",
        "units": 3,
        "current": 1,
        "frames": 200,
    }
    assert events[4]["error"] == "decoder failed"
    assert events[-1]["exit_code"] == 0


def test_the_live_display_shows_every_stage_and_its_state() -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=120, color_system=None)
    reporter = LiveReporter(console)
    with reporter.bars:
        run_through(reporter)
        reporter.plan("stitch", 1, 0, 0)
    text = screen.getvalue()
    assert "3/3 shots" in text
    assert "1 failed" in text
    assert "embedded engine [v1]" in text
    assert "stitch" in text


def test_of_many_jobs_each_shows_only_what_it_does_now() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=120, color_system=None)
    reporter = LiveReporter(console)
    first, second = (reporter.begin_job(name, i, 2) for i, name in enumerate("ab", 1))
    first.plan("faces", 2, 2, 0)  # done earlier: its bar is at its end at once
    assert [task.finished for task in reporter.bars.tasks] == [True]
    first.plan("timing", 2, 1, 0)
    second.plan("probe", 1, 0, 0)
    assert [task.description for task in reporter.bars.tasks] == ["a: timing", "b: probe"]
    first.advance("timing", "x", 0, 1.0, None)
    first.plan("generate", 2, 0, 50)
    assert [task.description for task in reporter.bars.tasks] == ["b: probe", "a: generate"]
    reporter.end_job("a", "done", 0, None)
    assert [task.description for task in reporter.bars.tasks] == ["b: probe"]


def test_a_pipe_gets_lines_and_json_wins_over_quiet() -> None:
    with reporting(as_json=False, quiet=False) as lines:
        assert isinstance(lines, LineReporter)
    with reporting(as_json=True, quiet=True) as events:
        assert isinstance(events, JsonReporter)


def test_the_whole_run_moves_with_its_stages() -> None:
    overall = Overall(("faces", "generate"), begun=0.0)
    assert overall.describe(5.0) == "0 %, 0:05 elapsed"
    overall.meters["faces"] = faces = Meter(units=2, current=0, frames=100, begun=0.0)
    faces.advance(50, False, 10.0)
    half = overall.share
    assert overall.left(10.0) == pytest.approx(10.0 * (1 - half) / half)
    faces.advance(50, False, 20.0)
    assert overall.share == pytest.approx(2 * half)
    overall.meters["generate"] = Meter(units=2, current=2, frames=0, begun=20.0)
    assert overall.share == 1.0


def test_a_run_takes_no_less_than_a_stage_that_is_under_way() -> None:
    overall = Overall(("faces", "generate"), 0.0)
    overall.meters["faces"] = Meter(units=1, current=0, frames=100, begun=0.0)
    overall.meters["faces"].advance(100, False, 10.0)
    overall.meters["generate"] = slow = Meter(units=2, current=0, frames=100, begun=10.0)
    slow.advance(20, False, 110.0)
    assert overall.left(110.0) == slow.left(110.0) == pytest.approx(400)


def test_a_batch_is_as_far_as_the_frames_of_its_jobs() -> None:
    batch = WholeBatch(("faces", "generate"), {"short": 100, "long": 300}, begun=0.0)
    assert batch.left(10.0) is None
    short = batch.begin("short", 0.0)
    short.meters["faces"] = Meter(units=1, current=0, frames=100, begun=0.0)
    assert batch.share == 0
    batch.end("short")
    assert batch.share == pytest.approx(0.25)
    assert batch.left(20.0) == pytest.approx(60.0)
    long = batch.begin("long", 20.0)
    long.meters["faces"] = Meter(units=1, current=1, frames=0, begun=20.0)
    assert batch.share == pytest.approx(0.25 + 0.75 * long.share)
    batch.end("long")
    assert batch.describe(90.0) == "100 %, 1:30 elapsed"


def test_a_long_silence_of_a_batch_is_broken_by_what_its_jobs_do(
    capsys: pytest.CaptureFixture[str],
) -> None:
    clock = Clock()
    reporter = LineReporter(clock)
    reporter.expect_jobs(("faces", "generate"), {"one": 100, "two": 100})
    job = reporter.begin_job("one", 1, 2)
    job.plan("faces", 2, 0, 100)
    clock.now += 20
    job.note("a fact")
    clock.now += 20
    reporter.show_alive()
    clock.now += 20
    reporter.show_alive()
    reporter.end_job("one", "done", 0, None)
    clock.now += 31
    reporter.show_alive()
    _, fact, alive, end, rest = capsys.readouterr().err.splitlines()
    assert fact.endswith("one: a fact")
    assert alive == " 1:00 0 %, 1:00 elapsed; one: faces 0/2 shots"
    assert end.endswith("one: done")
    assert rest == " 1:31 50 %, 1:31 elapsed, about 1:31 left"


def test_programs_and_terminals_see_how_far_a_batch_is(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    events = JsonReporter(clock)
    events.expect_jobs(("faces",), {"one": 100, "two": 100})
    own = events.begin_job("one", 1, 2)
    own.plan("faces", 1, 0, 100)
    clock.now += 10
    own.advance("faces", "0000000-0000100", 100, 1.0, None)
    events.end_job("one", "done", 0, None)
    events.show_alive()
    events.finish(Result("done", 0))
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(r["share"], r.get("job")) for r in rows if r["event"] == "progress"] == [(0.5, None)]

    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    live = LiveReporter(console)
    live.expect_jobs(("faces",), {"one": 100, "two": 100})
    live.begin_job("one", 1, 2).plan("faces", 1, 0, 100)
    console.print(live.bars.get_renderable())
    live.end_job("one", "done", 0, None)
    console.print(live.bars.get_renderable())
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "whole batch" in shown
    assert "50 %" in shown


def test_a_long_silence_is_broken_by_how_far_the_run_is(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    reporter = LineReporter(clock)
    reporter.expect(("faces", "generate"))
    reporter.plan("faces", 1, 0, 100)
    reporter.show_alive()
    clock.now += 31
    reporter.show_alive()
    reporter.finish(Result("done", 0))
    clock.now += 31
    reporter.show_alive()
    assert capsys.readouterr().err.splitlines() == [" 0:31 0 %, 0:31 elapsed; faces 0/1"]


def test_commands_that_are_no_run_say_every_while_how_far_they_are(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dubkit.cli.progress_bar.ALIVE_EVERY", 0.0)
    with reporting(as_json=False, quiet=False) as reporter:
        assert isinstance(reporter, LineReporter)
        reporter.plan("evaluate", 4, 0, 100)
        time.sleep(1.5)
    said = capsys.readouterr().err
    assert "evaluate 0/4 shots" in said
    time.sleep(1.5)
    assert not capsys.readouterr().err


def test_a_stage_that_failed_has_no_tick() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    reporter = LiveReporter(console)
    reporter.expect(("faces",))
    reporter.plan("faces", 1, 0, 100)
    reporter.advance("faces", "0000000-0000100", 100, 1.0, "no memory")
    console.print(reporter.bars.get_renderable())
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "✗" in shown
    assert "whole run" in shown
