"""Libraries from elsewhere keep still while they are used."""

from __future__ import annotations

import logging
import os
import sys
import warnings

import av.logging
import pytest

from dubkit.engines.containment import contained


def test_nothing_is_printed_and_no_warning_shown(capfd: pytest.CaptureFixture[str]) -> None:
    with contained():
        sys.stdout.write("Use manually assigned vad_model\n")
        warnings.warn("a library's own worry", stacklevel=1)
        logging.getLogger("whisperx").error("no speech found")
    told = capfd.readouterr()
    assert (told.out, told.err) == ("", "")


def test_libraries_may_not_call_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYANNOTE_METRICS_ENABLED", raising=False)
    monkeypatch.delenv("NO_ALBUMENTATIONS_UPDATE", raising=False)
    with contained():
        assert os.environ["PYANNOTE_METRICS_ENABLED"] == "0"
        assert os.environ["NO_ALBUMENTATIONS_UPDATE"] == "1"


def test_a_library_that_turns_the_decoders_log_on_leaves_it_off() -> None:
    with contained():
        av.logging.set_level(av.logging.ERROR)
    assert av.logging.get_level() is None
