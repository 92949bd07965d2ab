"""Digests decide what is done again: equal for equal things, different for different ones."""

from __future__ import annotations

import hashlib
from pathlib import Path

from hypothesis import given, settings, strategies as st

from dubkit.work.store import digest_file, digest_value, short

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


def test_a_file_longer_than_one_piece_is_digested_whole(tmp_path: Path) -> None:
    content = bytes(range(256)) * 5000
    (tmp_path / "x").write_bytes(content)
    assert digest_file(tmp_path / "x") == hashlib.sha256(content).hexdigest()


@settings(deadline=None)
@given(st.dictionaries(st.text(max_size=3), values, max_size=5))
def test_the_order_of_keys_does_not_matter(table: dict[str, object]) -> None:
    backward = dict(reversed(list(table.items())))
    assert digest_value(table) == digest_value(backward)


@settings(deadline=None)
@given(st.lists(st.text(max_size=3), max_size=4), st.lists(st.text(max_size=3), max_size=4))
def test_different_lists_have_different_digests(left: list[str], right: list[str]) -> None:
    assert (digest_value(left) == digest_value(right)) == (left == right)


def test_short_names_a_folder() -> None:
    assert short("0123456789abcdef") == "0123456789ab"
