"""Films and dubs from folders, paired by name and language."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dubkit.batch.jobs import LANGUAGE
from dubkit.errors import UsageError
from dubkit.media.container import FILMS, SOUNDS

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
    film's name and the language. Raises UsageError for a folder that is not there or an odd pattern.
    """
    for folder in (films, dubs):
        if not folder.is_dir():
            raise UsageError(f"there is no folder {folder}")
    shared = films.resolve() == dubs.resolve()
    found = _named(_files(films, FILMS))
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
    for path in _files(dubs, SOUNDS if shared else SOUNDS | FILMS).values():
        matches = _matches(path.relative_to(dubs).with_suffix(""), rules, called)
        names = tuple(dict.fromkeys(film for film, _ in matches))
        if not names:
            lonely.append(path)
        elif len(names) > 1:
            unclear.append((path, names))
        else:
            film, language = matches[0]
            script = scripts.get((film, language)) or scripts.get((film, None))
            pairs.append(Pair(film, found[film], path, language, script))
    used = {entry.video for entry in pairs}
    return Pairing(
        tuple(sorted(pairs, key=lambda p: (p.film, p.language or "", p.audio))),
        tuple(path for path in dict.fromkeys(found.values()) if path not in used),
        tuple(lonely),
        tuple(unclear),
    )


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
            f"{pattern!r} is no pattern for dubs",
            hint="write {film} and perhaps {lang}, as in --pattern '{lang}/{film}'",
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
