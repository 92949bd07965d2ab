"""The face detector RetinaFace, with the weights of either of its networks.

Slow without a GPU (see the README's figures), but a film is searched only every ``faces.detect_every`` seconds;
in between faces are followed by their landmarks. The net is loaded with the first picture.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dubkit.engines import containment, registry
from dubkit.errors import ModelError
from dubkit.weights import locate

if TYPE_CHECKING:
    from dubkit.config.schema import FaceSettings
    from dubkit.records import Detection, Picture


class RetinafaceDetector:
    """Implements `engines.base.FaceDetector`. Raises ModelError where its weights are missing."""

    name = "retinaface"

    def __init__(self, settings: FaceSettings, device: str = "cpu") -> None:
        self.path = locate.retinaface(settings)
        self.notes: tuple[str, ...] = ()  # what the user should know
        self._long_side, self._min_score = settings.detect_size, settings.min_score
        self._device = device
        self._net: Any = None

    @property
    def version(self) -> str:
        mark = locate.mark(self.path)
        return f"2+{mark}"

    @staticmethod
    def weights(settings: FaceSettings) -> tuple[str, ...]:
        """The catalog's names of the weights that these settings need."""
        return () if settings.weights else (locate.RETINAFACE,)

    def detect(self, picture: Picture) -> list[Detection]:
        """Faces of one upright picture, best first, in its own pixels."""
        return self.detect_all([picture])[0]

    def detect_all(self, pictures: list[Picture]) -> list[list[Detection]]:
        """Faces of several pictures of one size, detected in one batch where memory permits."""
        for picture in pictures:
            if picture.ndim != 3 or picture.shape[2] != 3 or 0 in picture.shape:
                raise ModelError(
                    f"the detector expects frames of shape (H, W, 3), not {picture.shape}"
                )
        memory = registry.load_module("dubkit.models.devices", what=self.name)

        def some(batch: int, device: str) -> list[list[Detection]]:
            net = self._on(device)
            parts = [pictures[i : i + batch] for i in range(0, len(pictures), batch)]
            return [faces for part in parts for faces in net.detect(part, self._min_score)]

        with containment.contained():
            found: list[list[Detection]] = memory.within_memory(
                some, max(1, len(pictures)), self._device, self._tell
            )
        return found

    def _on(self, device: str) -> Any:
        if self._net is None or self._device != device:
            self._device = device
            mark = locate.mark(self.path)
            self._net = _loaded(self.path, mark, self._long_side, device)
        return self._net

    def _tell(self, note: str) -> None:
        self.notes = (*self.notes, f"retinaface: {note}")


@lru_cache(maxsize=1)
def _loaded(path: Path, mark: str, long_side: int, device: str) -> Any:
    """The net, once a process: each shot of a film has a detector of its own."""
    module = registry.load_module(
        "dubkit.faces.retinaface_net", what="retinaface", extra="retinaface"
    )
    return module.RetinafaceNet(path, long_side, device)
