"""The book of a job survives crashes, and is never taken for something it is not."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from dubkit.errors import WorkError
from dubkit.records import FileDigest, Job, Manifest, StageResult
from dubkit.work.manifest import (
    VERSION,
    read_manifest,
    read_receipt,
    write_manifest,
    write_receipt,
)

names = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=8)
facts = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=4)
results = st.builds(
    StageResult,
    stage=names,
    unit=names,
    fingerprint=names,
    outputs=st.dictionaries(names, names, max_size=3),
    sizes=st.dictionaries(names, st.integers(0, 2**50), max_size=3),
    parts=st.dictionaries(names, names, max_size=3),
    seconds=st.floats(0, 1e6),
    engine=st.none() | names,
    warnings=st.lists(names, max_size=2).map(tuple),
    notes=st.lists(names, max_size=2).map(tuple),
    facts=st.dictionaries(names, facts, max_size=3),
    error=st.none() | names,
    error_code=st.integers(0, 130),
    hint=st.none() | names,
)
paths = names.map(lambda name: Path("/films") / name.replace("/", "_"))
manifests = st.builds(
    Manifest,
    version=st.just(VERSION),
    job=st.builds(Job, paths, paths, paths, paths, st.none() | paths, st.none() | paths),
    results=st.dictionaries(names, results, max_size=3),
    inputs=st.dictionaries(
        names, st.builds(FileDigest, paths, st.integers(0, 2**60), st.integers(0, 2**62), names)
    ),
    kind=st.just("dubkit work folder"),
)


@settings(deadline=None, max_examples=50)
@given(manifests)
def test_what_is_written_is_read(manifest: Manifest) -> None:
    with tempfile.TemporaryDirectory() as folder:
        write_manifest(Path(folder), manifest)
        assert read_manifest(Path(folder)) == manifest
        assert [path.name for path in Path(folder).iterdir()] == ["manifest.json"]


@settings(deadline=None, max_examples=50)
@given(results)
def test_a_receipt_is_read_as_it_was_written(result: StageResult) -> None:
    with tempfile.TemporaryDirectory() as folder:
        write_receipt(Path(folder), result)
        assert read_receipt(Path(folder)) == result


@settings(deadline=None, max_examples=50)
@given(manifests, st.floats(0, 0.999))
def test_a_manifest_cut_anywhere_counts_as_lost(manifest: Manifest, where: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        write_manifest(Path(folder), manifest)
        path = Path(folder) / "manifest.json"
        whole = path.read_bytes().rstrip()
        path.write_bytes(whole[: int(len(whole) * where)])
        assert read_manifest(Path(folder)) is None


def test_no_manifest_is_none(tmp_path: Path) -> None:
    assert read_manifest(tmp_path) is None
    assert read_receipt(tmp_path) is None


@pytest.mark.parametrize("content", ["[]", "3", '{"name": "x", "manifest_version": 3}'])
def test_a_manifest_of_something_else_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(WorkError, match="something else"):
        read_manifest(tmp_path)
