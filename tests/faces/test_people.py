"""The cast file: what it says, and what is refused in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from dubkit.errors import InputError, UsageError
from dubkit.faces.people import People, Person, cast_text, check_cast, read_cast

HEAD = 'kind = "dubkit-cast"\nversion = 1\nfilm = "f00d"\n'
ANNA = '[[person]]\nname = "Anna"\nfaces = ["0000000-0000050/0"]\n'
BORIS = '[[person]]\nname = "Boris"\nfaces = ["0000050-0000090/1"]\n'


def written(folder: Path, text: str) -> Path:
    path = folder / "cast.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    anna = Person("Anna", ("0000000-0000050/0", "0000090-0000120/2"), (), 3.2, 1.0)
    boris = Person("person_2", ("0000050-0000090/0",), (), 1.6, 0.0, dub=False, double="Anna")
    people = People((anna, boris), ("0000090-0000120/1",), named=True)
    read = read_cast(written(tmp_path, cast_text(people, "f00d", "film.mp4")))
    assert (read.film, read.unknown) == ("f00d", people.unknown)
    assert [(p.name, p.faces, p.dub, p.double) for p in read.person] == [
        ("Anna", anna.faces, True, ""),
        ("person_2", boris.faces, False, "Anna"),
    ]
    assert people.by_face()["0000090-0000120/2"] is anna


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name = ", "is not a cast file"),
        ("name = 1", "is not a cast file: kind"),
        (HEAD + '[[person]]\nname = "Anna"\nfaces = []', "is not a cast file: person.0.faces"),
        (HEAD + ANNA + "age = 3", "is not a cast file: person.0.age"),
        (HEAD + ANNA.replace("Anna", "../x"), "'../x' cannot be a name"),
        (HEAD + ANNA.replace("/0", ""), "'0000000-0000050' is not a face"),
        (HEAD + ANNA + ANNA.replace("Anna", "Bea"), "has two names, Anna and Bea"),
        (HEAD + ANNA + ANNA + "dub = false", "Anna stands there twice"),
        (HEAD + ANNA + 'double = "Zoe"', "the double of Anna is Zoe, who is not in the cast"),
        (HEAD + ANNA + 'double = "Anna"', "the double of Anna cannot be Anna"),
        (
            HEAD + ANNA + 'double = "Boris"\n' + BORIS + 'double = "Anna"',
            "the double of Anna cannot be Boris",
        ),
        (HEAD + 'unknown = ["0000000-0000050/0"]\n' + ANNA, "is both Anna and unknown"),
    ],
)
def test_a_file_that_contradicts_itself_is_refused_with_what_is_wrong(
    tmp_path: Path, text: str, says: str
) -> None:
    with pytest.raises(InputError) as caught:
        read_cast(written(tmp_path, text))
    assert says in caught.value.message
    assert caught.value.hint


def test_two_entries_of_one_name_are_one_person(tmp_path: Path) -> None:
    cast = read_cast(written(tmp_path, HEAD + ANNA + BORIS.replace("Boris", "Anna")))
    assert {person.name for person in cast.person} == {"Anna"}


def test_the_cast_of_another_film_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, HEAD + ANNA)
    cast = read_cast(path)
    check_cast(cast, path, "f00d", "film.mp4")
    with pytest.raises(UsageError, match="of another film than film"):
        check_cast(cast, path, "beef", "film.mp4")
