from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from dubkit.batches.pairing import PATTERNS, Pairing, pair
from dubkit.errors import UsageError


def laid_out(root: Path, films: list[str], dubs: list[str]) -> tuple[Path, Path]:
    for folder, names in ((root / "films", films), (root / "dubs", dubs)):
        folder.mkdir()
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(b"x")
    return root / "films", root / "dubs"


def told(found: Pairing) -> list[tuple[str, str | None, str]]:
    return [(p.film, p.language, p.audio.name) for p in found.pairs]


@pytest.mark.parametrize(
    ("dub", "language"),
    [
        ("film.fr.wav", "fr"),
        ("film_pt-BR.flac", "pt-BR"),
        ("film-deu.mp3", "deu"),
        ("fr/film.wav", "fr"),
        ("film/fr.wav", "fr"),
        ("fr/film.fr.wav", "fr"),
        ("film.wav", None),
        ("film.fr.mov", "fr"),
    ],
)
def test_a_dub_is_found_the_ways_studios_name_them(
    tmp_path: Path, dub: str, language: str | None
) -> None:
    found = pair(*laid_out(tmp_path, ["film.mp4"], [dub]))
    assert told(found) == [("film", language, Path(dub).name)]


def test_what_fits_nothing_is_told_not_guessed(tmp_path: Path) -> None:
    films, dubs = laid_out(tmp_path, ["a.mp4", "b.mp4"], ["a.fr.wav", "c.fr.wav", "a.director.wav"])
    found = pair(films, dubs)
    assert told(found) == [("a", "fr", "a.fr.wav")]
    assert [path.name for path in found.lonely_films] == ["b.mp4"]
    assert {path.name for path in found.lonely_dubs} == {"c.fr.wav", "a.director.wav"}


def test_a_dub_that_fits_two_films_is_left_to_the_user(tmp_path: Path) -> None:
    found = pair(*laid_out(tmp_path, ["a.mp4", "a.fr.mp4"], ["a.fr.wav"]))
    assert not found.pairs
    assert set(found.unclear[0][1]) == {"a", "a.fr"}


def test_films_in_subfolders_are_meant_by_path_or_by_a_name_that_only_one_has(
    tmp_path: Path,
) -> None:
    films = ["s1/e1.mp4", "s1/e2.mp4", "s2/e1.mp4"]
    found = pair(*laid_out(tmp_path, films, ["s1/e1.fr.wav", "s2/e1.fr.wav", "fr/e2.wav"]))
    assert [p.film for p in found.pairs] == ["s1/e1", "s1/e2", "s2/e1"]


def test_a_script_lies_beside_its_dub_and_one_without_language_serves_all(tmp_path: Path) -> None:
    films, dubs = laid_out(
        tmp_path, ["a.mp4", "b.mp4"], ["a.fr.wav", "a.fr.srt", "b.fr.wav", "b.txt"]
    )
    scripts = {p.film: p.script.name for p in pair(films, dubs).pairs if p.script}
    assert scripts == {"a": "a.fr.srt", "b": "b.txt"}


def test_in_one_shared_folder_a_film_is_no_dub_of_itself(tmp_path: Path) -> None:
    films, _ = laid_out(tmp_path, ["a.mp4", "a.fr.wav", "a.wav"], [])
    found = pair(films, films)
    assert told(found) == [("a", "fr", "a.fr.wav")]


@pytest.mark.parametrize("pattern", ["{lang}/x", "{film", "/{film}", "{film}.{nation}"])
def test_a_pattern_that_cannot_work_is_refused(tmp_path: Path, pattern: str) -> None:
    films, dubs = laid_out(tmp_path, ["a.mp4"], ["a.fr.wav"])
    with pytest.raises(UsageError, match="not a pattern"):
        pair(films, dubs, [pattern])


names = st.from_regex(r"[a-zA-Z0-9 ()+\[\]._-]{1,12}", fullmatch=True).filter(
    lambda name: name.strip(". ") == name and Path(name).suffix == ""
)


@given(
    film=names,
    language=st.from_regex(r"[a-z]{2}", fullmatch=True),
    pattern=st.sampled_from(PATTERNS[:6]),
)
def test_any_film_name_is_found_again(
    tmp_path_factory: pytest.TempPathFactory, film: str, language: str, pattern: str
) -> None:
    dub = pattern.replace("{film}", film).replace("{lang}", language) + ".wav"
    found = pair(*laid_out(tmp_path_factory.mktemp("p"), [f"{film}.mp4"], [dub]))
    assert told(found) == [(film, language, Path(dub).name)]


CAST = """kind = "dubkit-cast"
version = 1
film = "0"
[[person]]
name = "anna"
faces = ["0000000-0000010/0"]
[[person]]
name = "bob"
faces = ["0000000-0000010/1"]
"""


def test_a_cast_beside_its_film_gives_names_to_stems(tmp_path: Path) -> None:
    """A name of three letters is a person's where the cast has it, and a language where it has not."""
    dubs = [
        "a.fr.wav",
        "a.fr.anna.wav",
        "a.fr.bob.wav",
        "a.de.anna.wav",
        "a.de.bob.wav",
        "a.bob.wav",
    ]
    films, folder = laid_out(tmp_path, ["a.mp4", "b.mp4"], [*dubs, "b.bob.wav", "b.bob.anna.wav"])
    (films / "a.cast.toml").write_text(CAST)
    found = {p.language: p for p in pair(films, folder).pairs if p.film == "a"}
    assert {language: (p.audio.name, p.mixed) for language, p in found.items()} == {
        "fr": ("a.fr.wav", True),
        "de": ("a.de.anna.wav", False),
        None: ("a.bob.wav", False),
    }
    stems = {
        language: [(name, path.name) for name, path in p.stems] for language, p in found.items()
    }
    assert stems["fr"] == [("anna", "a.fr.anna.wav"), ("bob", "a.fr.bob.wav")]
    assert stems["de"] == [("anna", "a.de.anna.wav"), ("bob", "a.de.bob.wav")]
    assert {p.cast for p in found.values()} == {films / "a.cast.toml"}
    other = [p for p in pair(films, folder).pairs if p.film == "b"]
    assert [(p.language, p.cast, p.stems) for p in other] == [("bob", None, ())]
    assert [path.name for path in pair(films, folder).lonely_dubs] == ["b.bob.anna.wav"]
