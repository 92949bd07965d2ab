"""Which dub belongs to which film, by their names: scripts, casts and stems as well."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dubkit.errors import InputError, UsageError
from dubkit.faces.people import read_cast
from dubkit.media import container

LANGUAGE = r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{2,8}){0,2}"  # fr, pt-BR, zh_Hans_CN
SCRIPTS = frozenset((
    ".srt", ".vtt", ".ttml", ".dfxp", ".ass", ".ssa", ".txt",
))  # fmt: skip
PATTERNS = (
    "{film}.{lang}", "{film}_{lang}", "{film}-{lang}", "{lang}/{film}", "{film}/{lang}",
    "{lang}/{film}.{lang}", "{film}",
)  # fmt: skip
_FIELD = re.compile(r"\{(film|lang)\}")


@dataclass(frozen=True, slots=True)
class Pair:
    """A dub with its film."""

    film: str  # the film's name: its path below the folder, without suffix
    video: Path
    audio: Path
    language: str | None
    script: Path | None
    cast: Path | None = None
    stems: tuple[tuple[str, Path], ...] = ()  # a name of the cast, and that person's speech
    mixed: bool = (
        True  # ``audio`` is what is heard; False: it is the first of the stems, and their sum is
    )


@dataclass(frozen=True, slots=True)
class Pairing:
    """What was found in the folders."""

    pairs: tuple[Pair, ...]
    lonely_films: tuple[Path, ...]  # without a dub
    lonely_dubs: tuple[Path, ...]  # that fit no film
    unclear: tuple[tuple[Path, tuple[str, ...]], ...]  # dubs that fit several films


def pair(films: Path, dubs: Path, patterns: Sequence[str] = PATTERNS) -> Pairing:
    """Pair every dub below ``dubs`` with a film below ``films``; scripts lie beside the dubs.

    A pattern is a dub's path below ``dubs`` without its suffix, with ``{film}`` and ``{lang}`` for the
    film's name and the language. A film's cast is ``{film}.cast.toml``, and a sound whose name is that of a dub of
    the film and then that of a person of the cast (``{film}.{lang}.anna``) is a stem of that dub. Raises UsageError
    for a folder that is not there or an odd pattern.
    """
    for folder in (films, dubs):
        if not folder.is_dir():
            raise UsageError(f"there is no folder {folder}")
    shared = films.resolve() == dubs.resolve()
    found = _named(_files(films, container.FILMS))
    called = _called(found)
    rules = [_rule(pattern, called) for pattern in patterns if not (shared and pattern == "{film}")]
    scripts = {
        match: path
        for path in _files(dubs, SCRIPTS).values()
        for match in _matches(path.relative_to(dubs).with_suffix(""), rules, called)
    }
    pairs: list[Pair] = []
    lonely: list[Path] = []
    unclear: list[tuple[Path, tuple[str, ...]]] = []
    sounds = _files(
        dubs, container.SOUNDS if shared else container.SOUNDS | container.FILMS
    ).values()
    casts = _casts((films, dubs), called)
    stems = _stems(sounds, dubs, rules, called, casts)
    for path in (
        path for path in sounds if not any(path in group.values() for group in stems.values())
    ):
        matches = _matches(path.relative_to(dubs).with_suffix(""), rules, called)
        names = tuple(dict.fromkeys(film for film, _ in matches))
        if not names:
            lonely.append(path)
        elif len(names) > 1:
            unclear.append((path, names))
        else:
            film, language = matches[0]
            script = scripts.get((film, language)) or scripts.get((film, None))
            own = tuple(stems.pop((film, language), {}).items())
            pairs.append(Pair(film, found[film], path, language, script, casts.get(film), own))
    for (film, language), group in stems.items():
        script = scripts.get((film, language)) or scripts.get((film, None))
        own = tuple(group.items())
        pairs.append(
            Pair(film, found[film], own[0][1], language, script, casts[film], own, mixed=False)
        )
    used = {entry.video for entry in pairs}
    return Pairing(
        tuple(sorted(pairs, key=lambda p: (p.film, p.language or "", p.audio))),
        tuple(path for path in dict.fromkeys(found.values()) if path not in used),
        tuple(lonely),
        tuple(unclear),
    )


_CAST = ".cast.toml"
Dub = tuple[str, str | None]  # a film, and the language of one of its dubs


def _casts(folders: Iterable[Path], called: Mapping[str, str]) -> dict[str, Path]:
    """The cast file of each film that has one, beside it or beside its dubs."""
    found: dict[str, Path] = {}
    for folder in folders:
        for inner, path in _files(folder, {".toml"}).items():
            film = called.get(inner.removesuffix(_CAST)) if inner.endswith(_CAST) else None
            if film is not None:
                found.setdefault(film, path)
    return found


def _stems(
    sounds: Iterable[Path],
    dubs: Path,
    rules: Sequence[re.Pattern[str]],
    called: dict[str, str],
    casts: Mapping[str, Path],
) -> dict[Dub, dict[str, Path]]:
    """The stems of each dub that has some, by the names of people of its film's cast."""
    people = {film: _names_in(path) for film, path in casts.items()}
    found: dict[Dub, dict[str, Path]] = {}
    for path in sounds:
        inner = path.relative_to(dubs).with_suffix("")
        rest, _, name = inner.as_posix().rpartition(".")
        matches = _matches(Path(rest), rules, called) if rest else []
        if rest in called and not matches:
            matches = [(called[rest], None)]
        for film, language in matches[:1]:
            if name in people.get(film, ()):
                found.setdefault((film, language), {})[name] = path
    return found


def _names_in(cast: Path) -> frozenset[str]:
    """The people of a cast file; nobody where it cannot be read, which its jobs are refused for."""
    try:
        return frozenset(person.name for person in read_cast(cast).person)
    except InputError:
        return frozenset()


def _files(folder: Path, suffixes: Iterable[str]) -> dict[str, Path]:
    """Files below a folder by their path without suffix, hidden ones and work folders left out."""
    wanted = set(suffixes)
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        inner = path.relative_to(folder)
        if path.suffix.lower() not in wanted or not path.is_file():
            continue
        if any(part.startswith(".") or part.endswith(".dubkit") for part in inner.parts):
            continue
        found[str(inner)] = path
    return found


def _named(files: dict[str, Path]) -> dict[str, Path]:
    """Films by name; two with one name but for the suffix keep their suffix in it."""
    bare = [str(Path(name).with_suffix("")) for name in files]
    return {
        (short if bare.count(short) == 1 else name): path
        for (name, path), short in zip(files.items(), bare, strict=True)
    }


def _called(films: dict[str, Path]) -> dict[str, str]:
    """What a dub may call a film -> the film's name: itself, or its last part where only one has it."""
    last = [Path(name).name for name in films]
    short = {Path(name).name: name for name in films if last.count(Path(name).name) == 1}
    return {**short, **{name: name for name in films}}


def _rule(pattern: str, called: dict[str, str]) -> re.Pattern[str]:
    fields = _FIELD.findall(pattern)
    if "film" not in fields or "{" in _FIELD.sub("", pattern) or Path(pattern).is_absolute():
        raise UsageError(
            f"{pattern!r} is not a pattern for dubs",
            hint="write {film} and optionally {lang}, as in --pattern '{lang}/{film}'",
        )
    either = "|".join(re.escape(name) for name in sorted(called, key=len, reverse=True))
    groups = {"film": f"(?:{either or '(?!)'})", "lang": LANGUAGE}
    text, seen = "", set[str]()
    for part in re.split(r"(\{film\}|\{lang\})", pattern):
        name = part.strip("{}")
        if part != f"{{{name}}}":
            text += re.escape(part)
        elif name in seen:
            text += f"(?P={name})"
        else:
            text += f"(?P<{name}>{groups[name]})"
            seen.add(name)
    return re.compile(text)


def _matches(
    inner: Path, rules: Sequence[re.Pattern[str]], called: dict[str, str]
) -> list[tuple[str, str | None]]:
    """Film and language of a dub's path, by every rule that fits."""
    found: list[tuple[str, str | None]] = []
    for rule in rules:
        match = rule.fullmatch(inner.as_posix())
        if match:
            found.append((called[match["film"]], match.groupdict().get("lang")))
    return found
