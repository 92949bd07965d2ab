"""A new user's mistake ends in one clear sentence, the way out and its exit code, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from dubkit.cli.app import app
from dubkit.media.process import find_program, run
from tests.clips import save_wav

IS_ROOT = hasattr(os, "geteuid") and os.geteuid() == 0
DUB = "--audio dub.wav"

# what is typed, its exit code, words of the sentence, words of the hint
MISTAKES = [
    # the command itself
    ("runn film.mp4", 2, "there is no command dubkit runn", "did you mean dubkit run?"),
    ("dub film.mp4", 2, "there is no command dubkit dub", "did you mean dubkit run?"),
    ("review film.mp4", 2, "there is no command dubkit review", "did you mean dubkit report?"),
    ("presets show preview", 2, "there is no command dubkit presets show", "dubkit presets --help"),
    ("--presets", 2, "has no option --presets", ""),
    ("run", 2, "dubkit run needs MOVIE", "dubkit run movie.mp4 --audio dub.wav"),
    ("run film.mp4", 2, "dubkit run needs --audio DUB", "dubkit run movie.mp4 --audio dub.wav"),
    ("run --audio dub.wav", 2, "dubkit run needs MOVIE", "dubkit run movie.mp4"),
    ("run film.mp4 dub.wav", 2, "takes one film, not film.mp4 and dub.wav", "dubkit run film.mp4 --audio dub.wav"),
    ("run film.mp4 two.mp4", 2, "takes one film, not film.mp4 and two.mp4", "dubkit batch FOLDER"),
    (f"run film.mp4 two.mp4 mute.mp4 {DUB}", 2, "takes one film, not 3", "dubkit batch FOLDER"),
    ("plan film.mp4", 2, "dubkit plan needs --audio DUB", "dubkit plan movie.mp4"),
    ("plan film.mp4 dub.wav", 2, "dubkit plan takes one film", "dubkit plan film.mp4 --audio dub.wav"),
    ("batch", 2, "dubkit batch needs FILMS|LIST", "dubkit batch films/"),
    ("report", 2, "dubkit report needs WORK", "dubkit report movie.dubbed"),
    ("adapt", 2, "dubkit adapt needs MOVIE", "dubkit adapt interview.mp4"),
    ("clean", 2, "dubkit clean needs WORK", "dubkit clean"),
    ("schema extra", 2, "dubkit schema does not take extra", "dubkit schema"),
    # flags
    ("run film.mp4 --audi dub.wav", 2, "has no option --audi", "did you mean --audio?"),
    (f"run film.mp4 {DUB} --presset preview", 2, "has no option --presset", "did you mean --preset?"),
    (f"run film.mp4 {DUB} --jobs many", 2, "--jobs takes a whole number, not 'many'", ""),
    (f"run film.mp4 {DUB} --jobs 0", 2, "parallel.jobs (--jobs): input should be greater", ""),
    (f"run film.mp4 {DUB} --dub-offset soon", 2, "--dub-offset takes a number, not 'soon'", ""),
    (f"run film.mp4 {DUB} --label", 2, "--label needs a value", "dubkit run"),
    (f"run film.mp4 {DUB} --faces everybody", 2, "(--faces everybody): input should be 'speaking'", "config show"),
    (f"run film.mp4 {DUB} --length stretch", 2, "(--length stretch): input should be 'keep-video'", "config show"),
    (f"run film.mp4 {DUB} --until render", 2, "there is no stage named 'render'", "stages: probe"),
    (f"run film.mp4 {DUB} --force fases", 2, "there is no stage named 'fases'", "did you mean faces?"),
    (f"run film.mp4 {DUB} --device cuda:99", 2, "the device 'cuda:99' is not available", "available: auto, cpu"),
    (f"run film.mp4 {DUB} --license free", 2, "the license 'free' is not known", "any or commercial"),
    (f"run film.mp4 {DUB} --language german", 2, "the language 'german' is not known", "did you mean de (German)?"),
    # settings and presets
    (f"run film.mp4 {DUB} --preset brodcast", 2, "there is no preset named 'brodcast'", "did you mean broadcast?"),
    (f"run film.mp4 {DUB} --preset nope.toml", 2, "there is no preset file nope.toml", ""),
    (f"run film.mp4 {DUB} --preset broken.toml", 2, "broken.toml is not valid TOML", ""),
    (f"run film.mp4 {DUB} --preset odd.toml", 2, "faces.wich", "config show"),
    (f"run film.mp4 {DUB} --set faces.wich=all", 2, "did you mean faces.which?", "config show"),
    (f"run film.mp4 {DUB} --set face.which=all", 2, "did you mean faces?", "config show"),
    (f"run film.mp4 {DUB} --set faces.which=everyone", 2, "not 'everyone'", "config show"),
    (f"run film.mp4 {DUB} --set nonsense", 2, "cannot read the setting 'nonsense'", "section.key=value"),
    ("config check --preset odd.toml", 2, "did you mean faces.which?", ""),
    # the film
    (f"run fiml.mp4 {DUB}", 3, "there is no file", "did you mean film.mp4? it was given as the film"),
    (f"run gone/film.mp4 {DUB}", 3, "there is no file", "there is no folder"),
    ("run dub.wav --audio film.mp4", 3, "dub.wav has no moving pictures", "The film comes first"),
    (f"run blind.mp4 {DUB}", 3, "blind.mp4 has no moving pictures", "is it the dub?"),
    (f"run notes.txt {DUB}", 3, "notes.txt is not a media file", ""),
    (f"run empty.mp4 {DUB}", 3, "empty.mp4 is empty", ""),
    (f"run films {DUB}", 3, "films is a folder, not a file", "it was given as the film"),
    (f"run https://example.org/film.mp4 {DUB}", 3, "is an address", "download it first"),
    # the dub and its script
    ("run film.mp4 --audio nope.wav", 3, "there is no file", "it was given as the dub (--audio)"),
    ("run film.mp4 --audio mute.mp4", 3, "mute.mp4 has no sound", "an audio stream"),
    ("run film.mp4 --audio notes.txt", 3, "notes.txt is not a media file", ""),
    (f"run film.mp4 {DUB} --script nope.srt", 3, "there is no file", "it was given as the script (--script)"),
    (f"run film.mp4 {DUB} --script empty.txt", 3, "empty.txt holds no spoken words", "omit --script"),
    (f"run film.mp4 {DUB} --script film.mp4", 3, "film.mp4 is not a text file", "plain text or subtitles"),
    (f"run film.mp4 {DUB} --script dub.wav", 3, "dub.wav is not a text file", "plain text or subtitles"),
    # where the result goes
    (f"run film.mp4 {DUB} --out film.mp4", 2, "is the film itself", "choose another --out"),
    (f"run film.mp4 {DUB} --out nowhere/out.mp4", 8, "there is no folder", "create it"),
    (f"run film.mp4 {DUB} --out notes.txt/out.mp4", 8, "notes.txt is a file, not a folder", "choose another --out"),
    (f"run film.mp4 {DUB} --out films", 8, "films is a folder", "give a file name with --out"),
    (f"run film.mp4 {DUB} --out out.xyz", 2, "a film cannot be written as out.xyz", "use one of .mp4"),
    (f"run film.mp4 {DUB} --out out", 2, "a film cannot be written as out", "use one of .mp4"),
    (f"run film.mp4 {DUB} --out locked/out.mp4", 8, "locked", "choose another --out"),
    (f"run film.mp4 {DUB} --work notes.txt", 6, "notes.txt is a file", "choose another folder with --work"),
    (f"run film.mp4 {DUB} --work films", 6, "films is not a dubkit work folder", "choose another folder"),
    # what else a run may be given
    (f"run film.mp4 {DUB} --verdicts empty.json", 3, "empty.json is not a verdict file", "dubkit report writes"),
    (f"run film.mp4 {DUB} --verdicts other.json", 2, "are for another film than film.mp4", "given on this film"),
    (f"run film.mp4 {DUB} --cast odd.toml", 3, "odd.toml is not a cast file", "dubkit cast writes"),
    (f"run film.mp4 {DUB} --consent nope.toml", 3, "there is no file", "it was given as the consent"),
    (f"run film.mp4 {DUB} --shots nope.edl", 3, "there is no file", "it was given as the shots"),
    # batches
    ("batch nowhere --dubs dubs --out o", 3, "there is no folder or job list nowhere", ""),
    ("batch films --dubs nowhere --out o", 2, "there is no folder nowhere", ""),
    ("batch films --dubs dubs --out o", 2, "no dub in dubs matches a film in films", "--pattern sets other names"),
    ("batch film.mp4 --out o", 3, "neither a folder nor a job list", "lists end in .csv or .toml"),
    ("batch wrong.csv --out o", 3, "the first line of wrong.csv does not name its columns", "columns: video, audio"),
    ("batch gone.csv --out o", 2, "1 of 1 jobs are invalid", "--skip-invalid"),
    ("batch outside.csv --out o", 2, "1 of 1 jobs are invalid", "--skip-invalid"),
    ("batch semicolons.csv --out notes.txt", 2, "1 of 1 jobs are invalid", "--skip-invalid"),
    ("batch semicolons.csv --out o --shard 3/2", 2, "'3/2' is not a shard", "--shard 1/4"),
    ("batch films --dubs dubs --out o --pattern x", 2, "'x' is not a pattern for dubs", "{film}"),
    # what is done afterwards
    ("report nowhere", 6, "there is no file or folder", "it ends in .dubkit"),
    ("report films", 6, "films is not a work folder of dubkit", "it ends in .dubkit"),
    ("report film.mp4", 6, "no work folder of film.mp4 lies beside it", "it ends in .dubkit"),
    ("report films --videos some", 2, "videos cannot be 'some'", "worst or all or none"),
    ("report films --markers xls", 2, "markers cannot be written as 'xls'", "csv, edl, fcpxml, otio"),
    ("status nowhere", 6, "there is no file or folder nowhere", "it ends in .dubkit"),
    ("diff nowhere dub.wav", 6, "there is no file or folder nowhere", "it ends in .dubkit"),
    ("deliver films", 6, "films is not a work folder", "it ends in .dubkit"),
    ("evaluate nope.mp4", 3, "nope.mp4 does not exist", "check the spelling"),
    ("evaluate film.mp4 --reference nope.mp4", 3, "nope.mp4 does not exist", "check the spelling"),
    ("verify nope.mp4", 3, "nope.mp4 does not exist", "check the spelling"),
    ("cast nope.mp4", 3, "there is no file", "it was given as the film"),
    ("models pull nothing", 2, "there is no weight named 'nothing'", "dubkit models list"),
    # the demo
    ("demo notes.txt", 8, "notes.txt is a file", "name a folder for the demo"),
    ("demo no/such/place", 8, "there is no folder", "create it first"),
    ("demo notes.txt/demo", 8, "cannot be written", "name another folder"),
    ("demo locked/demo", 8, "cannot be written", "name another folder"),
]  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a film, a dub, and things that are neither."""
    folder = tmp_path_factory.mktemp("mistakes")
    picture, tone = "testsrc2=size=160x120:rate=25:duration=1", "sine=frequency=300:duration=1"
    ffmpeg = [str(find_program("ffmpeg")), "-v", "error"]
    film = str(folder / "film.mp4")
    codecs = ["-c:v", "libx264", "-pix_fmt", "yuv420p", "-c:a", "aac"]
    run([*ffmpeg, "-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", tone, *codecs, film])
    run([*ffmpeg, "-i", film, "-map", "0:v", "-c", "copy", str(folder / "mute.mp4")])
    run([*ffmpeg, "-i", film, "-map", "0:a", "-c", "copy", str(folder / "blind.mp4")])
    save_wav(folder / "dub.wav", np.full(16000, 0.1, np.float32))
    for name in ("films", "dubs"):
        (folder / name).mkdir()
    (folder / "films/film.mp4").write_bytes((folder / "film.mp4").read_bytes())
    save_wav(folder / "dubs/other.de.wav", np.zeros(16000, np.float32))
    (folder / "locked").mkdir(mode=0o500)
    texts = {
        "notes.txt": "call the studio\n" * 40,
        "empty.txt": "",
        "empty.mp4": "",
        "empty.json": "{}",
        "broken.toml": "faces = [\n",
        "odd.toml": '[faces]\nwich = "all"\n',
        "semicolons.csv": "video;audio\nfilm.mp4;dub.wav\n",
        "wrong.csv": "film,sound\nfilm.mp4,dub.wav\n",
        "gone.csv": "video,audio\nnope.mp4,dub.wav\n",
        "outside.csv": "video,audio\n../film.mp4,dub.wav\n",
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
    other = {"kind": "dubkit-verdicts", "version": 1, "film": "0" * 64, "shots": {}}
    (folder / "other.json").write_text(json.dumps(other))
    return folder


@pytest.mark.parametrize(("typed", "code", "said", "hint"), MISTAKES, ids=[m[0] for m in MISTAKES])
def test_a_mistake_is_one_sentence_with_the_way_out(
    place: Path, monkeypatch: pytest.MonkeyPatch, typed: str, code: int, said: str, hint: str
) -> None:
    if "locked" in typed and IS_ROOT:
        pytest.skip("root may write everywhere")
    monkeypatch.chdir(place)
    before = sorted(place.rglob("*"))
    result = CliRunner().invoke(app, shlex.split(typed))
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == code, result.output
    lines = result.stderr.splitlines()
    (error,) = (line for line in lines if line.startswith("error: "))
    assert said in error
    assert re.match(r"error: \S.*[^.]$", error), "a sentence without its full stop"
    hints = [line for line in lines if line.startswith("hint: ")]
    assert len(hints) <= 1
    assert hint in "".join(hints)
    others = [line for line in lines if line not in (error, *hints)]
    assert all("warning: " in line for line in others), "nothing else but what batches warn of"
    assert result.stdout == ""
    assert sorted(place.rglob("*")) == before


def test_a_list_with_semicolons_is_read(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    result = CliRunner().invoke(app, ["batch", "semicolons.csv", "--out", "o", "--dry-run"])
    assert result.exit_code == 0, result.output
    assert "1 of 1 jobs to do" in result.stdout


def test_the_mistakes_are_many() -> None:
    assert len(MISTAKES) >= 65
