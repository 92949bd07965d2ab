from __future__ import annotations

from pathlib import Path

import pytest

from dubkit.batches.find_jobs import read_list
from dubkit.errors import InputError


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_csv_line_is_a_job_and_unknown_columns_with_a_dot_are_settings(tmp_path: Path) -> None:
    text = (
        "\ufeffvideo,audio,script,language,preset,out,generate.amplitude\n"
        "a.mp4,fr/a.wav,,fr,preview+broadcast,x/a.mp4,1.2\n\nb.mp4,b.wav,b.srt,,,,\n"
    )
    first, second = read_list(written(tmp_path, "jobs.csv", text))
    assert first.video == tmp_path / "a.mp4"
    assert first.script is None
    assert (first.language, first.out) == ("fr", "x/a.mp4")
    assert first.presets == ("preview", "broadcast")
    assert first.settings == ("generate.amplitude=1.2",)
    assert second.origin == "jobs.csv line 4"
    assert second.script == tmp_path / "b.srt"
    assert second.problems == ()


def test_semicolons_as_spreadsheets_write_them_are_read(tmp_path: Path) -> None:
    path = written(tmp_path, "jobs.csv", "video;audio;language\na.mp4;a.wav;fr\n")
    assert read_list(path)[0].language == "fr"


def test_toml_jobs_share_defaults_and_nest_settings(tmp_path: Path) -> None:
    text = """
    [defaults]
    language = "fr"
    faces.which = "all"
    [[job]]
    video = "a.mp4"
    audio = "a.wav"
    preset = ["preview"]
    stitch.keep_streams = false
    [[job]]
    video = "b.mp4"
    audio = "b.wav"
    language = "de"
    """
    first, second = read_list(written(tmp_path, "jobs.toml", text))
    assert first.settings == ("faces.which=all", "stitch.keep_streams=false")
    assert first.presets == ("preview",)
    assert (first.language, second.language) == ("fr", "de")


@pytest.mark.parametrize("path", ["../a.mp4", "/etc/passwd", "x/../../a.mp4", "link/a.mp4"])
@pytest.mark.parametrize("column", ["video", "audio", "script"])
def test_no_path_leaves_the_lists_folder(tmp_path: Path, path: str, column: str) -> None:
    folder = tmp_path / "lists"
    folder.mkdir()
    (folder / "link").symlink_to(tmp_path)
    good = {"video": "v.mp4", "audio": "a.wav", "script": ""} | {column: path}
    text = f"video,audio,script\n{good['video']},{good['audio']},{good['script']}\n"
    (row,) = read_list(written(folder, "jobs.csv", text))
    assert "outside" in row.problems[0]
    (wider,) = read_list(folder / "jobs.csv", tmp_path if path != "/etc/passwd" else Path("/"))
    assert not wider.problems or path in ("../a.mp4", "x/../../a.mp4")


def test_a_preset_file_outside_is_refused_and_a_name_is_not(tmp_path: Path) -> None:
    text = "video,audio,preset\na,b,../evil.toml\na,b,broadcast\n"
    first, second = read_list(written(tmp_path, "jobs.csv", text))
    assert "outside" in first.problems[0]
    assert second.presets == ("broadcast",)


def test_every_problem_of_a_row_is_told(tmp_path: Path) -> None:
    text = "video,audio,langage\n,a.wav,fr\n"
    (row,) = read_list(written(tmp_path, "jobs.csv", text))
    assert len(row.problems) == 2
    assert "langage" in " ".join(row.problems)
    assert "no video" in " ".join(row.problems)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("jobs.txt", b"x", "neither a folder nor a job list"),
        ("jobs.csv", b"", "name its columns"),
        ("jobs.csv", b"film,sound\na,b\n", "name its columns"),
        ("jobs.csv", b"video,audio\n", "no jobs"),
        ("jobs.csv", b"video,audio\n\xff\xfe,b\n", "not UTF-8"),
        ("jobs.csv", b'video,audio\n"a,b\n', "not CSV"),
        ("jobs.toml", b"[[job]\n", "not valid TOML"),
        ("jobs.toml", b"job = 3\n", "something other than"),
        ("jobs.toml", b"[other]\nx = 1\n", "something other than"),
    ],
)
def test_a_list_that_is_none_gets_one_sentence(
    tmp_path: Path, name: str, content: bytes, says: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError, match=says):
        read_list(path)


def test_a_list_that_is_not_there_gets_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no folder or job list"):
        read_list(tmp_path / "none.csv")


def test_stems_have_columns_with_their_names_and_need_no_mix(tmp_path: Path) -> None:
    text = "video,audio,cast,stem.anna,stem.bob\na.mp4,,a.cast.toml,anna.wav,../bob.wav\n"
    (row,) = read_list(written(tmp_path, "jobs.csv", text))
    assert (row.audio, row.cast) == (None, tmp_path / "a.cast.toml")
    assert row.stems == (("anna", tmp_path / "anna.wav"),)
    assert len(row.problems) == 1
    assert row.problems[0].startswith("stem.bob is outside")
    text = 'job = [{ video = "a.mp4", audio = "mix.wav", stem = { anna = "anna.wav" } }]'
    (row,) = read_list(written(tmp_path, "jobs.toml", text))
    assert (row.audio, row.stems) == (tmp_path / "mix.wav", (("anna", tmp_path / "anna.wav"),))
    assert not row.problems
