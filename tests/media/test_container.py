"""What each container can hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from dubkit.errors import UsageError
from dubkit.media.container import check_delivery, result_suffix


@pytest.mark.parametrize("codec", ["av1", "vp9"])
def test_a_mov_is_refused_for_codecs_that_ffmpeg_does_not_write_into_one(codec: str) -> None:
    with pytest.raises(UsageError, match=r"cannot go into \.mov") as caught:
        check_delivery(Path("film.mov"), codec)
    assert ".mp4" in (caught.value.hint or "")
    assert result_suffix(Path("film.mov"), codec) == ".mp4"
