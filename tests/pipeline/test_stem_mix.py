"""A dub in stems: their names, their sum, and what is wrong with them."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from dubkit.errors import DubkitError, InputError, UsageError
from dubkit.faces.people import CastFile
from dubkit.media.audio import load_samples
from dubkit.pipeline.inputs import script_remarks, stem_remarks
from dubkit.pipeline.stems import before_files, find_dub, write_files
from dubkit.records import Job, ScriptLine, Stem
from tests.clips import ffmpeg, save_wav

RATE = 16000


def tone(path: Path, seconds: float, pitch: float) -> Path:
    time = np.arange(round(seconds * RATE)) / RATE
    save_wav(path, (0.2 * np.sin(2 * np.pi * pitch * time)).astype(np.float32))
    return path


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    tone(tmp_path / "anna.wav", 1.0, 300)
    tone(tmp_path / "boris.wav", 2.5, 500)
    return tmp_path


BOTH = ("anna=anna.wav", "boris=boris.wav")


def test_one_file_is_the_dub_also_with_an_equals_sign_in_its_name(there: Path) -> None:
    tone(there / "a=b.wav", 0.2, 300)
    assert find_dub(["a=b.wav"], None, there / "out.mp4").mix == there / "a=b.wav"
    assert find_dub([there / "anna.wav"], None, there / "out.mp4").stems == ()


def summed(there: Path) -> Job:
    dub = find_dub(BOTH, None, there / "out.mp4")
    return Job(
        there / "film.mp4",
        dub.mix,
        there / "out.mp4",
        there / "w",
        stems=dub.stems,
        summed=dub.summed,
    )


def test_stems_are_heard_together_and_the_sum_is_made_once_and_when_it_is_needed(
    there: Path,
) -> None:
    job = summed(there)
    assert [stem.name for stem in job.stems] == ["anna", "boris"]
    assert job.audio == there / "out.stems" / "mix.wav"
    assert not job.audio.parent.exists()
    assert before_files(job).audio == there / "boris.wav"
    write_files(job)
    assert before_files(job) == job
    heard = load_samples(job.audio)
    parts = [load_samples(there / f"{name}.wav") for name in ("anna", "boris")]
    both = parts[1].copy()
    both[: len(parts[0])] += parts[0]
    assert abs(len(heard) - len(both)) <= 2
    middle = slice(RATE // 4, RATE // 2)
    assert np.abs(heard[middle] - both[middle]).max() < 0.01
    made = job.audio.stat().st_mtime_ns
    write_files(job)
    assert job.audio.stat().st_mtime_ns == made
    os.utime(there / "anna.wav", ns=(made + 10**9, made + 10**9))
    write_files(job)
    assert job.audio.stat().st_mtime_ns != made


def test_a_stem_of_channels_in_no_stated_order_is_refused(there: Path) -> None:
    raw = there / "anna.raw"
    np.zeros((RATE, 10), "<i2").tofile(raw)
    ffmpeg("-f", "s16le", "-ar", str(RATE), "-ac", "10", "-i", raw, there / "anna.wav")
    with pytest.raises(InputError, match=r"anna\.wav has 10 channels in no stated order"):
        write_files(summed(there))


def test_a_mix_that_is_given_is_what_is_heard(there: Path) -> None:
    tone(there / "mix.wav", 1, 700)
    assert find_dub(BOTH, "mix.wav", there / "out.mp4").mix == there / "mix.wav"
    assert not (there / "out.stems").exists()


def test_a_file_of_several_tracks_gives_the_one_with_the_name(there: Path) -> None:
    titles = ["-metadata:s:a:0", "title=anna", "-metadata:s:a:1", "title=boris"]
    two = ("-i", there / "anna.wav", "-i", there / "boris.wav", "-map", "0", "-map", "1")
    ffmpeg(*two, *titles, "-c", "copy", there / "all.mka")
    dub = find_dub(["anna=all.mka", "boris=all.mka"], None, there / "out.mp4")
    assert not (there / "out.stems").exists()  # a request writes nothing
    paths = (there / "film.mp4", dub.mix, there / "out.mp4", there / "work")
    planned = Job(*paths, stems=dub.stems, summed=dub.summed)
    assert {stem.path.name for stem in before_files(planned).stems} == {"all.mka"}
    write_files(planned)
    assert before_files(planned) == planned
    lengths = [len(load_samples(stem.path)) / RATE for stem in dub.stems]
    assert lengths == pytest.approx([1.0, 2.5], abs=0.05)
    with pytest.raises(InputError, match="titled clara") as caught:
        find_dub(["clara=all.mka"], None, there / "out.mp4")
    assert "anna, boris" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("sounds", "mix", "kind", "said"),
    [
        (["anna.wav", "boris.wav"], None, UsageError, "all have a name"),
        (["anna=anna.wav", "boris.wav"], None, UsageError, "all have a name"),
        (["anna=anna.wav", "anna=boris.wav"], None, UsageError, "two stems are named anna"),
        (["=anna.wav"], None, UsageError, "needs a name and a file"),
        (["a/b=anna.wav"], None, UsageError, "needs a name and a file"),
        (["anna=clara.wav"], None, InputError, "there is no file"),
        (["anna.wav"], "boris.wav", UsageError, "--mix is the mix of stems"),
    ],
)
def test_sounds_that_make_no_dub_are_refused_in_a_sentence(
    there: Path, sounds: list[str], mix: str | None, kind: type[DubkitError], said: str
) -> None:
    with pytest.raises(kind, match=said):
        find_dub(sounds, mix, there / "out.mp4")


def job(there: Path, cast: Path | None = None) -> Job:
    stems = tuple(Stem(name, there / f"{name}.wav") for name in ("anna", "boris"))
    film = there / "film.mp4"
    return Job(film, there / "anna.wav", there / "o.mp4", there / "w", cast=cast, stems=stems)


def test_what_is_odd_about_stems_is_said_before_anything_is_done(there: Path) -> None:
    cast = there / "cast.toml"
    entry = '[[person]]\nname = "{}"\nfaces = ["0000000-0000010/{}"]\n'
    people = entry.format("anna", 0) + entry.format("clara", 1)
    cast.write_text(f'kind = "dubkit-cast"\nversion = 1\nfilm = "{"0" * 64}"\n{people}')
    said = " / ".join(stem_remarks(job(there, cast)))
    assert "the stem anna ends 1.5 s before boris" in said
    assert "nobody named boris" in said
    assert "clara of the cast has no stem" in said
    with pytest.raises(UsageError, match="who anna is"):
        list(stem_remarks(job(there)))
    assert not list(stem_remarks(Job(there / "f", there / "anna.wav", there / "o", there / "w")))


def test_names_that_only_the_script_or_only_the_cast_knows_are_listed() -> None:
    names = ("Anna", "boris", "person_3")
    people = [{"name": name, "faces": [f"0000000-0000010/{n}"]} for n, name in enumerate(names)]
    head = {"kind": "dubkit-cast", "version": 1, "film": "0" * 64}
    cast = CastFile.model_validate({**head, "person": people})
    lines = [ScriptLine("Hello.", speaker=name) for name in ("ANNA", "CLARA", None)]
    assert list(script_remarks(lines, cast)) == [
        "the cast does not know the script's CLARA: their lines go to who speaks in the film",
        "no line of the script is by boris of the cast",
    ]
    assert not list(script_remarks([ScriptLine("Hello.")], cast))


def test_a_stem_in_which_nothing_is_does_not_shorten_the_sum(there: Path) -> None:
    save_wav(there / "anna.wav", np.zeros(0, np.float32))
    job = summed(there)
    write_files(job)
    assert len(load_samples(job.audio)) == pytest.approx(2.5 * RATE, abs=2)
