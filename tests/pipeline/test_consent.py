"""Runs with a consent file: who has none for the language stays as filmed, and it is recorded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dubkit.errors import UsageError
from dubkit.media.frames import FrameReader
from dubkit.media.probe import probe
from dubkit.pipeline.inspect import OpenedJob, job_status
from dubkit.work.store import digest_file
from tests.delivery.films import Dubbed, dub, painted_film

SHOTS = ("0000000-0000016", "0000016-0000030")
SIGNED = "ab" * 32
QUIET = ("gate.action=off", "speech.language=de")


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return painted_film(tmp_path_factory.mktemp("consent") / "movie.mkv", (16, 14))


def cast(film: Path) -> Path:
    people = zip(("Anna", "Boris"), SHOTS, strict=True)
    lines = ['kind = "dubkit-cast"', "version = 1", f'film = "{digest_file(film)}"']
    for name, shot in people:
        lines += ["[[person]]", f'name = "{name}"', f'faces = ["{shot}/0"]']
    path = film.with_name("cast.toml")
    path.write_text("\n".join(lines) + "\n")
    return path


def consent(film: Path, **languages: str) -> Path:
    lines = ['kind = "dubkit-consent"', "version = 1", f'film = "{digest_file(film)}"']
    for name, code in languages.items():
        lines += ["[[person]]", f'name = "{name}"', f'languages = ["{code}"]']
        lines += [f'document = "{SIGNED}"']
    path = film.with_name("consent.toml")
    path.write_text("\n".join(lines) + "\n")
    return path


def changed(job: Dubbed) -> list[bool]:
    """Whether each shot differs from the film."""
    readers = [FrameReader(path, *probe(path)) for path in (job.film, job.result)]
    found = []
    for shot in SHOTS:
        start, end = map(int, shot.split("-"))
        pairs = zip(*(reader.read(start, end) for reader in readers), strict=True)
        found.append(any(not np.array_equal(a.planes[0], b.planes[0]) for a, b in pairs))
    return found


def test_who_gave_no_consent_stays_as_filmed(film: Path) -> None:
    job = dub(film, *QUIET, cast=cast(film), consent=consent(film, Anna="de", Boris="fr"))
    assert changed(job) == [True, False]
    manifest = OpenedJob(job.work).manifest
    assert manifest.consent is not None
    assert [(one.name, one.given) for one in manifest.consent] == [("Anna", True), ("Boris", False)]
    assert "consent" in manifest.inputs
    assert OpenedJob(job.work).config.references.consented == ("Anna",)
    assert job_status(job.work).finished
    (reason,) = job.work.glob(f"dub-*/generate/{SHOTS[1]}/chosen.json")
    assert "there is no consent to this language" in reason.read_text()
    made = next(job.work.glob(f"dub-*/generate/{SHOTS[0]}/segment.nut")).stat().st_mtime_ns
    job.result.unlink()
    again = dub(film, *QUIET, cast=cast(film), consent=consent(film, Anna="de", Boris="*"))
    assert changed(again) == [True, True]
    assert next(job.work.glob(f"dub-*/generate/{SHOTS[0]}/segment.nut")).stat().st_mtime_ns == made


@pytest.mark.parametrize(
    ("settings", "people", "words"),
    [
        (("references.without_consent=stop",), "both", "no consent of Boris: agreed to fr"),
        (("speech.language=",), "both", "to languages"),
        ((), "none", "no cast"),
    ],
)
def test_what_cannot_be_checked_is_refused_before_anything_is_rendered(
    film: Path, settings: tuple[str, ...], people: str, words: str
) -> None:
    who = cast(film) if people == "both" else None
    given = [*QUIET, *settings] if settings != ("speech.language=",) else ["gate.action=off"]
    with pytest.raises(UsageError, match=words):
        dub(film, *given, name="refused", cast=who, consent=consent(film, Anna="de", Boris="fr"))
    assert not film.with_name("movie.refused.dubkit").exists()
