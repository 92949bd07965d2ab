from __future__ import annotations

import numpy as np
import pytest

from dubkit.stages.generate import away_from_edges


@pytest.mark.parametrize("count", [1, 3, 8, 9, 40])
def test_shots_of_any_length_keep_away_from_the_fade(count: int) -> None:
    rows = np.ones(count, np.bool_)
    assert away_from_edges(rows, 4).all()
    rows[0] = False
    far = away_from_edges(rows, 4)
    assert len(far) == count
    assert not far[:5].any()
    assert far[5:].all()
