from __future__ import annotations

import io
import logging
from collections.abc import Iterator

import pytest
from rich.console import Console

from dubkit.cli.console import set_verbosity, stdout_console, table, write_words


@pytest.fixture(autouse=True)
def loggers_as_before() -> Iterator[None]:
    names = ("dubkit", "dubkit.media.process")
    before = [(logging.getLogger(n), logging.getLogger(n).level) for n in names]
    handlers, propagate = list(before[0][0].handlers), before[0][0].propagate
    yield
    for logger, level in before:
        logger.setLevel(level)
    before[0][0].handlers[:], before[0][0].propagate = handlers, propagate


@pytest.mark.parametrize(("verbose", "shown"), [(0, False), (1, True), (2, True)])
def test_verbose_shows_the_programs_started_exactly_as_they_were(
    verbose: int, shown: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    set_verbosity(verbose, quiet=False)
    argv = ["ffmpeg", "-map", "0:v:0", "[in]", "x" * 300]
    logging.getLogger("dubkit.media.process").debug("run %s", argv)
    out, err = capsys.readouterr()
    assert out == ""
    assert err == (f"dubkit.media.process: run {argv}\n" if shown else "")


def test_a_terminal_tears_no_word_and_a_pipe_no_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = "  refused by the gate, the face does not look like itself: shot 2, 10:00:08:00"
    write_words(said)
    assert capsys.readouterr().out == f"{said}\n"
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    write_words(said)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) > 1
    assert max(map(len, lines)) <= 40
    assert " ".join(" ".join(lines).split()) == said.strip()
    assert all(line.startswith("    ") for line in lines[1:])


def test_twice_verbose_shows_everything(capsys: pytest.CaptureFixture[str]) -> None:
    for verbose in (1, 2):
        set_verbosity(verbose, quiet=False)
        logging.getLogger("dubkit.work").debug("detail")
    assert capsys.readouterr().err == "dubkit.work: detail\n"


def test_quiet_hides_warnings_of_the_log_but_no_errors(capsys: pytest.CaptureFixture[str]) -> None:
    set_verbosity(0, quiet=True)
    logging.getLogger("dubkit.work").warning("hm")
    logging.getLogger("dubkit.work").error("no")
    assert capsys.readouterr().err == "dubkit.work: no\n"


def test_cells_are_text_never_markup(capsys: pytest.CaptureFixture[str]) -> None:
    stdout_console().print(table(("name",), [("[red]shot[/red] :v:",), ("x" * 150,)]))
    out = capsys.readouterr().out
    assert "[red]shot[/red] :v:" in out
    assert "x" * 150 in out


def test_a_table_on_a_narrow_terminal_folds_but_loses_nothing() -> None:
    screen = io.StringIO()
    console = Console(file=screen, width=20, force_terminal=True, color_system=None)
    console.print(table(("a",), [("0123456789" * 4,)]))
    assert "".join(screen.getvalue().split()) == "a" + "0123456789" * 4
