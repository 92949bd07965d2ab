"""The people of a film: who is in which shot, and the cast file in which a person names them.

A cast file is TOML: ``kind = "dubkit-cast"``, ``version = 1``, ``film`` (its SHA-256) and a ``[[person]]`` for each,
with ``name``, ``faces`` (``SHOT/TRACK``), ``dub`` and ``double``. Two entries of one name are one person; faces moved
to an entry of their own are another.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import Field, ValidationError

from dubkit.config.schema import Section
from dubkit.errors import InputError, UsageError, WorkError
from dubkit.records import PERSON_NAME, TrackChoice
from dubkit.work.store import read_record, write_record

PEOPLE = "people.json"
KIND: Literal["dubkit-cast"] = "dubkit-cast"
_LARGEST = 16 * 2**20  # bytes of a file that people fill in
_FACE = re.compile(r"\d{7,}-\d{7,}/\d+")
_HINT = "dubkit cast writes cast files"


@dataclass(frozen=True, slots=True)
class Person:
    """One person of a film; faces are ``SHOT/TRACK``, in film order."""

    name: str  # from the cast file, or person_N
    faces: tuple[str, ...]
    portraits: tuple[str, ...]  # the clearest of them
    seconds: float  # on screen
    dubbed: float  # seconds in which this person's mouth is replaced
    dub: bool = True  # False: never
    double: str | None = None  # the person whose frames and speech are used instead
    bank: str | None = (
        None  # the file of this person's frames, in the stage's folder (`lips.lending`)
    )


@dataclass(frozen=True, slots=True)
class People:
    """All people of a film, those longest on screen first."""

    people: tuple[Person, ...]
    unknown: tuple[str, ...]  # faces too unclear to tell
    named: bool  # whether a cast file said who they are

    def by_face(self) -> dict[str, Person]:
        """The person of each face."""
        return {face: person for person in self.people for face in person.faces}


NEVER = "never dubbed: the cast says so"
WITHHELD = "not dubbed: there is no consent to this language"


def as_cast(choice: TrackChoice, *, dub: bool, consent: bool = True) -> TrackChoice:
    """The choice for a face whose person may be dubbed, or never, or not in this language."""
    if (dub and consent) or not choice.dubbed:
        return choice
    return replace(choice, dubbed=False, reason=WITHHELD if dub else NEVER)


def load_people(folder: Path) -> People:
    """The result of the stage cast."""
    return read_record(folder / PEOPLE, People)


ROLES = "roles.json"


@dataclass(frozen=True, slots=True)
class Role:
    """What a face of a shot has from the film."""

    track: int
    name: str | None = None  # of its person, where a cast file gave it
    dub: bool = True  # False: the cast file says never
    profile: str | None = None  # of its person's way of speaking, a file in the stage's folder
    lent: str | None = None  # frames of other shots, the same
    consent: bool = True  # False: this person gave none to the dub's language


def save_roles(folder: Path, roles: list[Role]) -> None:
    """Write ``roles.json``."""
    write_record(folder / ROLES, roles, list[Role])


def load_roles(folder: Path) -> dict[int, Role]:
    """The roles of a shot's faces by track; files as absolute paths."""
    return {
        role.track: replace(
            role, profile=_place(folder, role.profile), lent=_place(folder, role.lent)
        )
        for role in read_record(folder / ROLES, list[Role])
    }


def _place(folder: Path, name: str | None) -> str | None:
    if name is not None and Path(name).name != name:
        raise WorkError(f"the work file {folder / ROLES} names a file elsewhere: {name}")
    return None if name is None else str(folder / name)


class CastPerson(Section):
    """An entry of a cast file."""

    name: str
    faces: tuple[str, ...] = Field(min_length=1)
    dub: bool = True
    double: str = ""


class CastFile(Section):
    """A cast file."""

    kind: Literal["dubkit-cast"]
    version: Literal[1]
    film: str
    unknown: tuple[str, ...] = ()
    person: tuple[CastPerson, ...] = ()


_Sheet = TypeVar("_Sheet", bound=Section)


def read_sheet(path: Path, sheet: type[_Sheet], what: str, hint: str) -> _Sheet:
    """Read a TOML file that people fill in, called ``what``. Raises InputError with the first thing wrong in it."""
    try:
        if path.stat().st_size > _LARGEST:
            raise InputError(f"{path} is too large for a {what}", hint=hint)
        return sheet.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    except RecursionError as error:
        raise InputError(f"{path} is nested too deeply for a {what}", hint=hint) from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InputError(f"{path} is not a {what}: {where}: {first['msg']}", hint=hint) from error
    except ValueError as error:  # not TOML, not UTF-8, or a number of thousands of digits
        raise InputError(f"{path} is not a {what}: {error}", hint=hint) from error


def read_cast(path: Path) -> CastFile:
    """Read and check a cast file. Raises InputError with the first thing that is wrong with it."""
    found = read_sheet(path, CastFile, "cast file", _HINT)
    for problem in _problems(found):
        raise InputError(f"{path}: {problem[0]}", hint=problem[1])
    return found


def check_cast(cast: CastFile, path: Path, film: str, name: str) -> None:
    """Raise UsageError unless the cast is of the film with this sha256."""
    if cast.film != film:
        raise UsageError(
            f"the cast in {path} is of another film than {name}",
            hint="dubkit cast writes the cast of this one",
        )


def _problems(cast: CastFile) -> Iterator[tuple[str, str]]:
    """What contradicts itself in a cast file, each with a way out."""
    owner: dict[str, str] = {}
    facts: dict[str, tuple[bool, str]] = {}
    for person in cast.person:
        if not PERSON_NAME.fullmatch(person.name):
            yield f"{person.name!r} cannot be a name", "letters, digits, spaces, . ' _ and -"
        if facts.setdefault(person.name, (person.dub, person.double)) != (
            person.dub,
            person.double,
        ):
            yield (
                f"{person.name} stands there twice, with another dub or double",
                "entries of one name are one person: let them agree, or change a name",
            )
        for face in person.faces:
            if not _FACE.fullmatch(face):
                yield f"{face!r} is not a face", "SHOT/TRACK, as dubkit cast writes them"
            if owner.setdefault(face, person.name) != person.name:
                yield (
                    f"the face {face} has two names, {owner[face]} and {person.name}",
                    "list it once",
                )
    for face in cast.unknown:
        if face in owner:
            yield f"the face {face} is both {owner[face]} and unknown", "list it once"
    for person in cast.person:
        if person.double and person.double not in facts:
            yield (
                f"the double of {person.name} is {person.double}, who is not in the cast",
                f"known: {', '.join(facts)}",
            )
        if person.double and (person.double == person.name or facts[person.double][1]):
            yield (
                f"the double of {person.name} cannot be {person.double}",
                "a person with frames of their own",
            )


def cast_text(people: People, film: str, title: str) -> str:
    """A cast file of these people, with what a reader should know as comments."""
    lines = [
        f"# The cast of {title}. Give it back with --cast, to dubkit run and dubkit plan.",
        "# name: two entries of one name are one person; faces moved to a new [[person]] are another.",
        "# dub = false: this person's mouth is never replaced. double: a name whose frames and speech are used.",
        f'kind = "{KIND}"',
        "version = 1",
        f'film = "{film}"',
        *_faces_lines("unknown", people.unknown),
    ]
    for person in people.people:
        shots = len({face.split("/")[0] for face in person.faces})
        many = "1 shot" if shots == 1 else f"{shots} shots"
        lines += [
            "",
            f"# on screen for {person.seconds:.1f} s in {many}, dubbed for {person.dubbed:.1f} s",
            "[[person]]",
            f'name = "{person.name}"',
            f"dub = {str(person.dub).lower()}",
            f'double = "{person.double or ""}"',
            *_faces_lines("faces", person.faces),
        ]
    return "\n".join(lines) + "\n"


def _faces_lines(name: str, faces: tuple[str, ...]) -> list[str]:
    if not faces:
        return [f"{name} = []"]
    rows = [faces[k : k + 4] for k in range(0, len(faces), 4)]
    return [f"{name} = [", *("  " + " ".join(f'"{face}",' for face in row) for row in rows), "]"]
