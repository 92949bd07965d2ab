"""Consent files: what they say, and what is refused in them."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from dubkit.errors import InputError, UsageError
from dubkit.faces.consent import check_consent, consent_text, consents, in_words, read_consent

HEAD = 'kind = "dubkit-consent"\nversion = 1\nfilm = "f00d"\n'
SIGNED = "ab" * 32
TODAY = date(2026, 12, 1)


def written(folder: Path, text: str) -> Path:
    path = folder / "consent.toml"
    path.write_text(text, encoding="utf-8")
    return path


def entry(name: str, languages: str, until: str = '""', document: str = SIGNED) -> str:
    return (
        f'[[person]]\nname = "{name}"\nlanguages = {languages}\nuntil = {until}\n'
        f'document = "{document}"\n'
    )


def test_the_template_is_a_file_in_which_nobody_agreed(tmp_path: Path) -> None:
    found = read_consent(written(tmp_path, consent_text(["Anna", "Boris"], "f00d", "film.mp4")))
    assert [person.name for person in found.person] == ["Anna", "Boris"]
    assert not any(one.given for one in consents(found, ["Anna", "Boris"], "de", TODAY))


@pytest.mark.parametrize(
    ("languages", "until", "language", "given", "why"),
    [
        ('["de", "fr"]', '""', "de", True, "without an end"),
        ('["de"]', '""', "de-AT", True, "without an end"),
        ('["de-AT"]', '""', "de", False, "agreed to de-AT, not to de"),
        ('["*"]', "2027-01-31", "ja", True, "until 2027-01-31"),
        ('["de"]', "2026-12-01", "de", True, "until 2026-12-01"),
        ('["de"]', "2026-11-30", "de", False, "expired on 2026-11-30"),
        ('["de"]', '""', "fr", False, "not to fr"),
    ],
)
def test_consent_is_to_a_language_until_a_day(
    tmp_path: Path, languages: str, until: str, language: str, given: bool, why: str
) -> None:
    file = read_consent(written(tmp_path, HEAD + entry("Anna", languages, until)))
    anna, boris = consents(file, ["Anna", "Boris"], language, TODAY)
    assert anna.given is given
    assert why in anna.why
    assert anna.document == SIGNED
    assert (boris.given, boris.why) == (False, "no consent is listed")
    assert "Boris (no consent is listed)" in in_words((anna, boris))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name = ", "is not a consent file"),
        ("name = 1", "is not a consent file: kind"),
        (HEAD + entry("Anna", '"de"'), "is not a consent file: person.0.languages"),
        (HEAD + entry("Anna", '["de"]', '"soon"'), "is not a consent file: person.0.until"),
        (HEAD + entry("Anna", '["de"]', document=""), "but no document says so"),
        (HEAD + entry("Anna", '["de"]', document="abc"), "is not a SHA-256"),
        (HEAD + 2 * entry("Anna", '["de"]'), "names Anna twice"),
    ],
)
def test_what_is_no_consent_is_refused(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        read_consent(written(tmp_path, text))


def test_people_who_are_not_in_the_cast_and_other_films_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path, HEAD + entry("Anna", '["de"]'))
    file = read_consent(path)
    check_consent(file, path, ["Anna"], "f00d", "film.mp4")
    with pytest.raises(InputError, match="Anna, who is not in the cast"):
        check_consent(file, path, ["Boris"], "f00d", "film.mp4")
    with pytest.raises(UsageError, match="another film"):
        check_consent(file, path, ["Anna"], "beef", "film.mp4")


def test_without_a_file_it_is_said(tmp_path: Path) -> None:
    assert "not checked" in in_words(None)
