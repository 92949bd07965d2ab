"""Stage ``link``: one person through several shots, seen by the real engines."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

import dubkit
from dubkit.demo.demo_film import SHOTS, render
from dubkit.media.audio import load_samples, save_wav
from dubkit.records import Shot
from dubkit.stages.link import Link, load_lender
from dubkit.work.store import read_record
from tests.clips import pictures_film

CUTS = (0, 20, 30, 50)
FRAMES = 70


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two shots of one camera move, a shot without a face between them, and the same face mirrored."""
    folder = tmp_path_factory.mktemp("footage")
    face = [p[::2, ::2] for p in render(dataclasses.replace(SHOTS[0], frames=40))]
    other = [p[::2, ::2] for p in render(dataclasses.replace(SHOTS[1], frames=10))]
    mirrored = [p[::2, ::2] for p in render(dataclasses.replace(SHOTS[2], frames=20))]
    pictures_film(folder / "film.mp4", [*face[:20], *other, *face[20:], *mirrored])
    voice = load_samples(Path(dubkit.__file__).parent / "demo" / "assets" / "dub.flac")
    save_wav(folder / "dub.wav", voice[: 16000 * FRAMES // 25])
    (folder / "shots.txt").write_text("\n".join(map(str, CUTS)))
    return folder


def run(footage: Path, work: Path, *settings: str, jobs: int = 1) -> bytes:
    dubkit.run(
        footage / "film.mp4",
        footage / "dub.wav",
        out=work / "out.mp4",
        work=work / "work",
        shots=footage / "shots.txt",
        settings=["speech.aligner=even", *settings],
        jobs=jobs,
        overwrite=True,
    )
    return (work / "out.mp4").read_bytes()


def linked(work: Path) -> tuple[Path, list[Link]]:
    (folder,) = (work / "work").glob("video-*/link/job")
    return folder, read_record(folder / "links.json", list[Link])


def test_shots_of_one_set_up_lend_to_one_another_and_the_result_is_always_the_same(
    footage: Path, tmp_path: Path
) -> None:
    made = run(footage, tmp_path, "link.enabled=true")
    folder, links = linked(tmp_path)
    first, second, mirrored = Shot(0, 20), Shot(30, 50), Shot(50, 70)
    found = {link.face: link.lenders for link in links}
    assert found[f"{first.name}/0"] == (f"{second.name}/0",)
    assert found[f"{second.name}/0"] == (f"{first.name}/0",)
    assert found[f"{mirrored.name}/0"] == (), "the other side of a face is another set-up"
    lender = load_lender(folder, first, 0)
    assert lender is not None
    assert set(lender.frames.tolist()) <= set(range(second.start, second.end))
    assert load_lender(folder, mirrored, 0) is None
    (tmp_path / "again").mkdir()
    assert run(footage, tmp_path / "again", "link.enabled=true", jobs=2) == made


def test_nothing_is_linked_unless_it_is_asked_for(footage: Path, tmp_path: Path) -> None:
    run(footage, tmp_path)
    folder, links = linked(tmp_path)
    assert links == []
    assert load_lender(folder, Shot(0, 20), 0) is None
