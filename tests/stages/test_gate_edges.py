from __future__ import annotations

import numpy as np
import pytest

from dubkit.stages.gate import _inside


@pytest.mark.parametrize("count", [1, 3, 8, 9, 40])
def test_shots_of_any_length_keep_away_from_the_fade(count: int) -> None:
    rows = np.ones(count, np.bool_)
    assert _inside(rows, 4).all()
    rows[0] = False
    inside = _inside(rows, 4)
    assert len(inside) == count
    assert not inside[:5].any()
    assert inside[5:].all()
