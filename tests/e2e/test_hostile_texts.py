"""Texts from strangers: names, scripts, lists, sheets and records that were written to do harm. `docs/security.md`."""

from __future__ import annotations

import io
import json
import os
import sys
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from typer.testing import CliRunner

from dubkit.cli import console
from dubkit.cli.app import app
from dubkit.cli.progress_bar import JsonReporter
from dubkit.config.presets import load_config
from dubkit.delivery.cut_list import Clip, CutList, Mark, edl_text, otio_text
from dubkit.delivery.markers import read_notes
from dubkit.errors import ConfigError, DubkitError, InputError, ModelError, WorkError
from dubkit.faces.consent import read_consent
from dubkit.faces.people import ROLES, load_roles, read_cast
from dubkit.media import credentials
from dubkit.media.audio import map_samples
from dubkit.media.container import local_path, open_media
from dubkit.media.script import read_script
from dubkit.media.timecode import Clock
from dubkit.models.checkpoint import load_checkpoint
from dubkit.pipeline.verdicts import read_verdicts
from dubkit.speech import g2p
from dubkit.work.manifest import read_manifest
from dubkit.work.store import map_array, write_record
from tests.clips import film, tone

runner = CliRunner()
FILE = {"name": "a", "sha256": "0"}
GOOD = {"source": FILE, "dub": FILE, "language": None, "consent": "x", "result_sha256": "0"}
ESCAPES = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202egnp.\r"
BOMB = (
    '<?xml version="1.0"?><!DOCTYPE x ['
    + '<!ENTITY a0 "lol">'
    + "".join(f'<!ENTITY a{k} "{f"&a{k - 1};" * 10}">' for k in range(1, 12))
    + "]>"
)


def container_of(name: str) -> None:
    with open_media(local_path(name)):
        pass


def cuts(name: str = "film", marks: tuple[Mark, ...] = ()) -> CutList:
    clip = Clip(name, Path(f"/{name}.mov"), 0, 100, 0, 100, marks)
    return CutList(
        name, "R", Clock(Fraction(25)), 90_000, 500, (640, 360), Path("/f"), clips=(clip,)
    )


def test_what_would_steer_a_terminal_is_shown_and_not_sent(
    capsys: pytest.CaptureFixture[str],
) -> None:
    console.show_error(InputError(f"no film {ESCAPES}", hint=f"look at {ESCAPES}"))
    console.stderr_console().print(console.table(("name",), [(ESCAPES,)]))
    console.write_json({"name": ESCAPES})
    JsonReporter().note(ESCAPES)
    out, err = capsys.readouterr()
    for text in (out, err):
        assert not set(text) & set("\x1b\x07\x9b\u202e\r")
    assert "\\u001b" in err
    assert json.loads(out.splitlines()[0])["name"] == ESCAPES


def test_a_name_given_to_a_program_stays_a_name_and_on_a_terminal_is_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    console.write_line("a\x1bb")
    assert capsys.readouterr().out == "a\x1bb\n"
    monkeypatch.setattr(type(sys.stdout), "isatty", lambda self: True, raising=False)
    console.write_line("a\x1bb")
    assert capsys.readouterr().out == "a\\u001bb\n"


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such a name")
def test_a_name_that_is_no_text_is_refused_in_a_sentence(tmp_path: Path) -> None:
    film(tmp_path / "film.mp4", seconds=0.4)
    dub = tone(tmp_path / "dub.wav", 0.4)
    strange = os.fsdecode(os.fsencode(tmp_path) + b"/fi\xfflm\x1b[31m.mp4")
    (tmp_path / "film.mp4").rename(strange)
    done = runner.invoke(app, ["run", strange, "--audio", str(dub)])
    assert done.exit_code == 3
    assert "is not text in UTF-8" in done.stderr
    assert "\x1b" not in done.stderr
    assert not list(tmp_path.glob("*.dubkit"))


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b"])
def test_a_name_that_no_file_can_have_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=r"cannot be the name of a file|does not exist"):
        container_of(name)
    with pytest.raises(ConfigError):
        load_config([name])


def test_an_error_quotes_no_endless_text() -> None:
    error = InputError(f"this is wrong: {'9' * 10_000} in {'line ' * 10_000}")
    assert len(error.message) < 4000
    assert error.message.startswith("this is wrong: 999")


@pytest.mark.parametrize("suffix", [".ttml", ".xml", ".srt"])
def test_a_bomb_of_entities_does_not_go_off_in_a_script(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"bomb{suffix}"
    path.write_text(
        f'{BOMB}<tt xmlns="http://www.w3.org/ns/ttml"><body><div><p begin="0s" end="1s">&a11;</p></div></body></tt>'
    )
    with pytest.raises(InputError):
        read_script(path, None, lambda said: None)


def test_an_entity_leads_to_no_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("the secret words")
    path = tmp_path / "script.ttml"
    path.write_text(
        f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e SYSTEM "file://{tmp_path}/secret">]>'
        '<tt xmlns="http://www.w3.org/ns/ttml"><body><div><p begin="0s" end="1s">said &e;</p></div></body></tt>'
    )
    with pytest.raises(InputError):
        read_script(path, None, lambda said: None)


def test_a_list_of_markers_holds_no_bomb_and_no_strange_times(tmp_path: Path) -> None:
    path = tmp_path / "m.fcpxml"
    for text in (
        f"{BOMB}<fcpxml><marker start='1s' value='&a11;'/></fcpxml>",
        "<fcpxml><marker start='1/0s'/></fcpxml>",
        "<fcpxml><marker start='soon'/></fcpxml>",
        f"<fcpxml><marker start='{'9' * 6000}s'/></fcpxml>",
    ):
        path.write_text(text)
        with pytest.raises(InputError):
            read_notes(path, cuts())
    wide = tmp_path / "m.csv"
    wide.write_text('Marker Name,In\n"' + "x" * 200_000 + '",01:00:00:00\n')
    with pytest.raises(InputError, match="is not CSV"):
        read_notes(wide, cuts())


def test_a_name_or_a_note_adds_no_event_to_a_list_of_edits() -> None:
    evil = "a\n002  EVIL     V     C        00:00:00:00 00:00:01:00 00:00:00:00 00:00:01:00"
    text = edl_text(cuts(evil, (Mark(1, 2, "S", evil),)))
    assert not [line for line in text.splitlines() if line.startswith("002")]


@pytest.mark.parametrize("text", ["x = " + "[" * 100_000, "x = " + "3" * 5000, "kind = 1", "\xff"])
def test_a_sheet_that_is_none_is_told_in_a_sentence(tmp_path: Path, text: str) -> None:
    path = tmp_path / "sheet.toml"
    path.write_bytes(text.encode("latin-1"))
    for read in (read_cast, read_consent):
        with pytest.raises(InputError):
            read(path)


@pytest.mark.parametrize(
    "facts",
    [
        {},
        [],
        {"result_sha256": "0"},
        {"source": "x", "dub": {}, "language": 1, "consent": {}, "result_sha256": "0"},
        GOOD | {"shots": [{"shot": "s", "changed": "c", "seconds": [["0", 1]]}]},
        GOOD | {"shots": [{"shot": "s", "changed": "c", "seconds": [[0, 10**400]]}]},
    ],
)
def test_facts_beside_a_film_that_anybody_wrote_are_checked(tmp_path: Path, facts: object) -> None:
    made = film(tmp_path / "dubbed.mkv", seconds=0.2, sound=False)
    beside = tmp_path / f"dubbed.{credentials.SIDECAR}"
    beside.write_text(json.dumps(facts))
    with pytest.raises(InputError, match="cannot be read as facts"):
        credentials.verify_film(made, "0")
    beside.write_text("[" * 100_000)
    with pytest.raises(InputError, match="cannot be read as facts"):
        credentials.verify_film(made, "0")


def test_weights_with_strange_facts_do_not_fit(tmp_path: Path) -> None:
    head = json.dumps({"__metadata__": {"dubkit": "[" * 100_000}}).encode()
    (tmp_path / "w.safetensors").write_bytes(len(head).to_bytes(8, "little") + head)
    with pytest.raises(ModelError):
        load_checkpoint(tmp_path / "w.safetensors", "speaker")
    (tmp_path / "w.safetensors").write_bytes((2**62).to_bytes(8, "little") + head)
    with pytest.raises(ModelError):
        load_checkpoint(tmp_path / "w.safetensors", "speaker")


@pytest.mark.parametrize("name", ["../../../secret.npz", "/etc/passwd"])
def test_a_record_of_a_work_folder_leads_to_no_file_elsewhere(tmp_path: Path, name: str) -> None:
    write_record(tmp_path / ROLES, [{"track": 0, "lent": name}], list[dict[str, object]])
    with pytest.raises(WorkError, match="elsewhere"):
        load_roles(tmp_path)


def test_a_manifest_and_verdicts_nested_beyond_reason_are_damaged(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("[" * 200_000)
    assert read_manifest(tmp_path) is None
    (tmp_path / "v.json").write_text("[" * 200_000)
    with pytest.raises(InputError):
        read_verdicts(tmp_path / "v.json")


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    text=st.text(max_size=200),
    suffix=st.sampled_from([".srt", ".vtt", ".ttml", ".ass", ".txt", ".sub", ".sbv", ".stl"]),
    head=st.sampled_from(
        ["", "WEBVTT\n\n", "1\n00:00:00,200 --> 00:00:01,500\n", "<tt ", "[Script Info]\n"]
    ),
)
def test_any_text_is_a_script_or_refused(tmp_path: Path, text: str, suffix: str, head: str) -> None:
    path = tmp_path / f"any{suffix}"
    path.write_bytes((head + text).encode("utf-8", "surrogatepass"))
    try:
        lines = read_script(path, None, lambda said: None)
    except DubkitError:
        return
    for line in lines:
        for word in g2p.words_of(line.text):
            g2p.pronounce(word)


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet=st.characters(categories=["L", "M", "N"]), max_size=12))
def test_every_word_can_be_pronounced_or_not(word: str) -> None:
    for said in g2p.words_of(word):
        found = g2p.pronounce(said)
        assert found is None or isinstance(found, str)


def test_capitals_of_other_alphabets_are_letters() -> None:
    assert g2p.pronounce("\U0001d407ello") == g2p.pronounce("hello")


def test_the_text_of_a_stream_is_never_markup() -> None:
    screen = io.StringIO()
    shown = console.SafeConsole(file=screen, width=80, force_terminal=True, color_system=None)
    shown.print("[link=http://127.0.0.1]film[/link]", markup=False)
    assert "[link=" in screen.getvalue()
    assert "\x1b" not in screen.getvalue()


def test_a_timeline_that_counts_in_no_numbers_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.otio"
    good = json.loads(otio_text(cuts()))
    for start in (float("nan"), float("inf"), 1e308):
        good["global_start_time"]["value"] = start
        path.write_text(json.dumps(good))
        if start != 1e308:
            with pytest.raises(InputError, match="times that cannot be"):
                read_notes(path, cuts())
    for text in ("[" * 100_000, '{"OTIO_SCHEMA": "Clip.1"}', "{", "[]", '{"OTIO_SCHEMA'):
        path.write_text(text)
        with pytest.raises(InputError):
            read_notes(path, cuts())


def test_a_header_of_an_array_that_is_no_python_is_damaged(tmp_path: Path) -> None:
    head = b"\x93NUMPY\x01\x00" + (118).to_bytes(2, "little") + b"{'descr': (((" + b" " * 105
    (tmp_path / "a.npy").write_bytes(head)
    with pytest.raises(ValueError, match="header"):
        map_array(tmp_path / "a.npy")


def test_a_header_that_numpy_finds_too_long_is_damaged_in_one_line(tmp_path: Path) -> None:
    text = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }" + b" " * 20_000 + b"\n"
    head = b"\x93NUMPY\x02\x00" + len(text).to_bytes(4, "little") + text
    (tmp_path / "a.npy").write_bytes(head + bytes(4))
    with pytest.raises(ValueError, match="header") as caught:
        map_array(tmp_path / "a.npy")
    assert "\n" not in str(caught.value)


def test_a_sound_of_a_few_samples_a_second_does_not_last_for_hours(tmp_path: Path) -> None:
    path = tone(tmp_path / "dub.wav", 0.2)
    raw = bytearray(path.read_bytes())
    raw[24:28] = (1).to_bytes(4, "little")
    path.write_bytes(raw)
    with pytest.raises(InputError, match="rate of 1 Hz"):
        map_samples(path, tmp_path)
