"""What the demo carries, and where it can be put."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from dubkit.cli.app import app
from dubkit.demo import ASSETS, captions, copy_demo
from dubkit.errors import OutputError
from dubkit.media.audio import load_samples
from dubkit.media.probe import probe

CUTS = (0, 90, 155, 265)  # frames


def test_the_demo_is_copied_as_it_is_and_again_over_what_was_changed(tmp_path: Path) -> None:
    files = copy_demo(tmp_path / "a demo")
    files.script.write_text("changed")
    assert copy_demo(tmp_path / "a demo") == files
    for path in (files.film, files.dub, files.script):
        assert path.read_bytes() == (ASSETS / path.name).read_bytes()


def test_film_and_dub_are_equally_long_and_speak_in_every_shot() -> None:
    info, _ = probe(ASSETS / "demo.mp4")
    assert info.rate == 25
    assert (info.frames, info.display_size) == (CUTS[-1], (480, 360))
    sound = load_samples(ASSETS / "demo.de.flac")
    assert abs(len(sound) / 16000 - info.frames / 25) < 0.1
    for start, end in itertools.pairwise(CUTS):
        assert np.abs(sound[start * 640 : end * 640]).max() > 0.2


def test_both_halves_have_their_caption() -> None:
    strip = captions()
    assert (strip[:, :480] > 150).sum() > 100
    assert (strip[:, 480:] > 150).sum() > 100


def test_every_asset_has_its_credit_and_they_are_small() -> None:
    credits = (ASSETS / "README.md").read_text(encoding="utf-8")
    for path in ASSETS.iterdir():
        assert path.name == "README.md" or f"`{path.name}`" in credits
    assert sum(path.stat().st_size for path in ASSETS.iterdir()) < 3 * 2**20


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("file", "is a file"),
        ("missing/deep", "there is no folder"),
        ("file/in", "cannot be written"),
    ],
)
def test_a_target_that_cannot_be_is_one_sentence(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=message):
        copy_demo(tmp_path / name)
    done = CliRunner().invoke(app, ["demo", str(tmp_path / name)])
    assert done.exit_code == 8
    assert len(done.stderr.splitlines()) == 2
