"""Libraries from elsewhere kept from printing, warning and calling home while they are used.

Alone because it imports PyAV, which the registry, loaded by every process, must not.
"""

from __future__ import annotations

import io
import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout

import av.logging

_ANSWERS = {
    "PYANNOTE_METRICS_ENABLED": "0",  # pyannote reports its use otherwise
    "NO_ALBUMENTATIONS_UPDATE": "1",  # albumentations asks PyPI for its newest version otherwise
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TOKENIZERS_PARALLELISM": "false",
}
_log = logging.getLogger(__name__)


@contextmanager
def contained() -> Iterator[None]:
    """Use a library: what it prints goes to the log, its warnings are dropped, and it does not call home.

    Files that a library looks for on a hub have to be present: engines find them beforehand.
    """
    for name, value in _ANSWERS.items():
        os.environ.setdefault(name, value)
    for name in ("whisperx", "faster_whisper", "lightning.pytorch", "speechbrain"):
        logger = logging.getLogger(name)
        if not logger.handlers:  # WhisperX would put one on stdout
            logger.addHandler(logging.NullHandler())
        logger.propagate = False
    output = io.StringIO()
    try:
        with redirect_stdout(output), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        # torchvision turns PyAV's log on, which can lock up: a decoding thread that has something to log
        # waits for Python, while Python waits for the thread to end
        av.logging.set_level(None)
    if output.getvalue():
        _log.debug("%s", output.getvalue().strip())
