"""Finding, pulling and checking weights, from a real server on this machine."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from dubkit.errors import ModelError, OutputError, UsageError
from dubkit.weights import cache as store
from dubkit.weights.cache import State, find, inspect
from dubkit.weights.entries import WEIGHTS, File, Weight
from dubkit.weights.pull import pull, weight_path
from tests.web import Site
from tests.weights.conftest import CONTENT, REPOSITORY, add, digest

HALF = 1_500_000


def test_a_weight_is_pulled_once_and_found_without_the_network(site: Site) -> None:
    assert find("toy") is None
    path = pull("toy")
    assert path.read_bytes() == CONTENT
    asked = len(site.asked)
    assert find("toy") == weight_path("toy", offline=True) == pull("toy") == path
    assert len(site.asked) == asked
    assert store.glance("toy") is State.OK


def test_a_broken_download_goes_on_where_it_stopped(site: Site) -> None:
    site.stop_after = [HALF]
    told: list[int] = []
    path = pull("toy", lambda name, done, total: told.append(done))
    assert path.read_bytes() == CONTENT
    assert [start for _, start in site.asked] == [None, f"bytes={HALF}-"]
    assert told == sorted(told)
    assert told[-1] == len(CONTENT)


def test_what_an_earlier_run_left_is_gone_on_with(site: Site) -> None:
    site.stop_after = [HALF, 0, 0, 0, 0, 0]
    with pytest.raises(ModelError, match="stops after 1500000 bytes"):
        pull("toy")
    assert find("toy") is None
    assert store.glance("toy") is State.PARTIAL
    assert "toy" in store.unfinished()
    site.stop_after, site.asked = [], []
    assert pull("toy").read_bytes() == CONTENT
    assert site.asked == [("/toy.pth", f"bytes={HALF}-")]


def test_a_file_that_changed_at_its_source_meanwhile_is_begun_anew(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.stop_after = [HALF, 0, 0, 0, 0, 0]
    with pytest.raises(ModelError):
        pull("toy")
    fresh, site.stop_after = CONTENT[::-1], []
    site.files["/toy.pth"] = fresh
    add(monkeypatch, "toy", File("toy.pth", len(fresh), digest(fresh), f"{site.url}/toy.pth"))
    assert pull("toy").read_bytes() == fresh


def test_a_beginning_that_is_longer_than_the_file_is_thrown_away(site: Site, cache: Path) -> None:
    site.stop_after = [HALF, 0, 0, 0, 0, 0]
    with pytest.raises(ModelError):
        pull("toy")
    site.stop_after = []
    with (cache / "toy" / "toy.pth.part").open("ab") as part:
        part.write(bytes(len(CONTENT)))
    assert pull("toy").read_bytes() == CONTENT


def test_a_wrong_checksum_is_refused_and_nothing_is_kept(site: Site, cache: Path) -> None:
    site.files["/toy.pth"] = CONTENT[::-1]
    with pytest.raises(ModelError, match="discarded"):
        pull("toy")
    assert not (cache / "toy" / "toy.pth").exists()
    assert find("toy") is None


def test_a_file_that_is_not_there_is_named_with_the_answer(site: Site) -> None:
    del site.files["/toy.pth"]
    with pytest.raises(ModelError, match="404") as raised:
        pull("toy")
    assert "toy.pth" in str(raised.value.hint)


@pytest.mark.usefixtures("site")
def test_a_proxy_that_refuses_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = File("far.pth", None, None, "http://weights.invalid/far.pth")
    add(monkeypatch, "far", entry)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with pytest.raises(ModelError, match=r"proxy http://127\.0\.0\.1:9"):
        pull("far")


@pytest.mark.usefixtures("cache")
def test_no_network_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    add(monkeypatch, "far", File("far.pth", None, None, "http://weights.invalid/far.pth"))
    with pytest.raises(ModelError, match="cannot be downloaded"):
        pull("far")


def test_a_hub_that_cannot_be_reached_says_where_files_brought_by_hand_belong(
    site: Site, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://hub.invalid")
    with pytest.raises(ModelError, match="cannot be read: ") as raised:
        pull("hub-toy")
    assert "Errno" not in raised.value.message
    assert str(cache / "hub-toy") in str(raised.value.hint)
    del site.files["/api/models/owner/toy/revision/main"]
    monkeypatch.setenv("HF_ENDPOINT", site.url)
    with pytest.raises(ModelError, match="404") as raised:
        pull("hub-toy")
    assert "owner/toy" in str(raised.value.hint)


def test_offline_never_touches_the_network(site: Site) -> None:
    with pytest.raises(ModelError, match="offline") as raised:
        weight_path("toy", offline=True)
    assert raised.value.hint == "dubkit models pull toy"
    assert site.asked == []


def test_a_file_brought_by_hand_is_taken_once_it_has_been_checked(site: Site, cache: Path) -> None:
    (cache / "toy").mkdir(parents=True)
    (cache / "toy" / "toy.pth").write_bytes(CONTENT)
    assert store.glance("toy") is State.PARTIAL
    assert find("toy") == cache / "toy" / "toy.pth"
    assert store.glance("toy") is State.OK
    assert site.asked == []


@pytest.mark.usefixtures("site")
def test_another_file_brought_by_hand_is_refused(cache: Path) -> None:
    (cache / "toy").mkdir(parents=True)
    (cache / "toy" / "toy.pth").write_bytes(CONTENT[:-1] + b"\0")
    with pytest.raises(ModelError, match="damaged or another file"):
        find("toy")
    assert inspect("toy").state is State.DAMAGED


@pytest.mark.usefixtures("site")
def test_what_cannot_be_checked_is_said_to_be_unpinned(cache: Path) -> None:
    (cache / "loose").mkdir(parents=True)
    (cache / "loose" / "loose.pth").write_bytes(b"whatever")
    found = inspect("loose")
    assert found.state is State.UNPINNED
    assert digest(b"whatever") in found.detail
    assert find("loose") == found.path


@pytest.mark.usefixtures("site")
def test_a_file_that_changed_after_its_check_is_checked_again(cache: Path) -> None:
    path = pull("toy")
    path.write_bytes(CONTENT[:-1] + b"\0")
    with pytest.raises(ModelError, match="damaged"):
        find("toy")


@pytest.mark.usefixtures("site")
def test_of_a_release_only_the_beginning_of_the_checksum_may_be_known(
    monkeypatch: pytest.MonkeyPatch, site: Site
) -> None:
    add(monkeypatch, "short", File("s.pth", None, digest(CONTENT)[:9], f"{site.url}/toy.pth"))
    assert pull("short").is_file()
    add(monkeypatch, "false", File("s.pth", None, "0" * 9, f"{site.url}/toy.pth"))
    with pytest.raises(ModelError):
        pull("false")


def test_a_repository_is_pulled_whole_and_checked_against_the_hub(site: Site, cache: Path) -> None:
    folder = pull("hub-toy")
    assert folder == cache / "hub-toy"
    names = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
    assert names == set(REPOSITORY) - {"README.md"}
    asked = len(site.asked)
    assert inspect("hub-toy").state is State.OK
    assert len(site.asked) == asked
    assert store.size("hub-toy") == sum(map(len, REPOSITORY.values())) - len(
        REPOSITORY["README.md"]
    )
    (folder / "vocab.json").unlink()
    assert find("hub-toy") is None
    assert "vocab.json" in inspect("hub-toy").detail


@pytest.mark.parametrize("name", ["config.json", "pytorch_model.bin"])
def test_a_repository_file_that_is_not_what_the_hub_says_is_refused(site: Site, name: str) -> None:
    site.files[f"/owner/toy/resolve/{site.commits['owner/toy']}/{name}"] = b"x" * len(
        REPOSITORY[name]
    )
    with pytest.raises(ModelError, match="discarded"):
        pull("hub-toy")
    assert find("hub-toy") is None


@pytest.mark.parametrize("answer", [b"<html>", b'{"error": "gone"}', b"[1]", b'{"sha": "main"}'])
@pytest.mark.parametrize("what", ["revision/main", "tree"])
def test_a_hub_that_answers_something_else_is_refused(site: Site, what: str, answer: bytes) -> None:
    what = f"tree/{site.commits['owner/toy']}" if what == "tree" else what
    site.files[f"/api/models/owner/toy/{what}"] = answer
    with pytest.raises(ModelError):
        pull("hub-toy")


def test_a_repository_brought_by_hand_is_taken_as_unpinned(site: Site, cache: Path) -> None:
    (cache / "hub-toy").mkdir(parents=True)
    for name, content in REPOSITORY.items():
        (cache / "hub-toy" / name).write_bytes(content)
    assert find("hub-toy") == cache / "hub-toy"
    assert store.glance("hub-toy") is State.UNPINNED
    assert site.asked == []


@pytest.mark.usefixtures("site")
def test_a_cache_that_cannot_be_written_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("DUBKIT_CACHE", str(tmp_path / "file"))
    with pytest.raises(OutputError, match="cannot be written") as raised:
        pull("toy")
    assert "DUBKIT_CACHE" in str(raised.value.hint)


@pytest.fixture
def small_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A cache on a disk of one megabyte."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "dubkit-test", str(disk)]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root can make a small disk")
    monkeypatch.setenv("DUBKIT_CACHE", str(disk))
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize("untold", [False, True], ids=["size told", "size not told"])
def test_a_full_disk_is_refused(site: Site, small_disk: Path, untold: bool) -> None:
    site.untold = untold
    with pytest.raises(OutputError, match="full" if untold else "free") as raised:
        pull("toy")
    assert "DUBKIT_CACHE" in str(raised.value.hint)
    assert find("toy") is None
    assert small_disk.is_dir()


def test_a_read_only_disk_is_refused(site: Site, small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(OutputError, match="cannot be written"):
        pull("toy")
    assert site.asked == []


@pytest.mark.usefixtures("cache")
def test_a_name_that_nobody_knows_is_answered_with_near_ones() -> None:
    with pytest.raises(UsageError) as raised:
        find("whisper-smal")
    assert "whisper-small" in str(raised.value.hint)


def test_the_catalog_pins_nothing_half() -> None:
    for entry in WEIGHTS.values():
        assert entry.files or entry.hub
        assert entry.files or entry.needed
        for file in entry.files:
            assert file.url or entry.hub
            assert set(file.sha256 or "") <= set("0123456789abcdef")
            assert len(file.sha256 or "") in (0, 9, 64)


def test_the_folder_of_weights_follows_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.delenv("DUBKIT_CACHE", raising=False)
    assert store.cache_root() == tmp_path / "xdg" / "dubkit" / "models"
    monkeypatch.setenv("DUBKIT_CACHE", "~/own")
    assert store.cache_root() == tmp_path / "own" / "models"
    monkeypatch.delenv("DUBKIT_CACHE")
    first = tmp_path / "Library" / "Caches" / "dubkit"
    first.mkdir(parents=True)
    assert store.cache_root() == first / "models", "weights of an earlier version stay in use"


def test_files_that_an_installed_package_holds_are_taken_after_the_same_check(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The package is found and never run."""
    folder = tmp_path / "site" / "toy_models" / "model"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").write_text("raise SystemExit('this package was run')\n")
    (folder / "toy.pth").write_bytes(CONTENT)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    file = File("toy.pth", len(CONTENT), digest(CONTENT))
    entry = Weight("packaged", "a test", "MIT", True, "-", (file,), package="toy_models/model")
    monkeypatch.setitem(WEIGHTS, "packaged", entry)
    assert store.glance("packaged") is State.OK
    assert find("packaged") == folder
    assert sorted(folder.iterdir()) == [folder / "toy.pth"]
    assert (cache / "packaged" / store.RECEIPT).is_file()
    (folder / "toy.pth").write_bytes(CONTENT[::-1])
    with pytest.raises(ModelError, match="damaged or another file"):
        find("packaged")
    (cache / "packaged" / "toy.pth").write_bytes(CONTENT)  # one of the cache comes first
    assert find("packaged") == cache / "packaged"
