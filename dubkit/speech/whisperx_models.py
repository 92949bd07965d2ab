"""The two nets of WhisperX: a Whisper that recognizes, and a CTC net that says when each character is spoken.

Both load from folders on this machine. Import this inside `engines.containment.contained`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import nltk
import numpy as np
import torch
import whisperx
from faster_whisper.vad import VadOptions, get_speech_timestamps
from whisperx.alignment import LANGUAGES_WITHOUT_SPACES
from whisperx.audio import log_mel_spectrogram
from whisperx.diarize import Segment
from whisperx.utils import PUNKT_LANGUAGES
from whisperx.vads import Pyannote, Vad

from dubkit.engines.containment import contained
from dubkit.errors import ModelError
from dubkit.records import Floats, Word
from dubkit.speech import activity
from dubkit.weights.locate import AlignModel

CHUNK = 30  # seconds that Whisper hears at once
_ONSET, _OFFSET = 0.5, 0.363  # WhisperX's own
_FRAME = 400  # samples that an alignment net needs at least


@dataclass(frozen=True, slots=True)
class RecognizedSpan:
    """A stretch of recognized speech."""

    text: str
    start: float
    end: float
    score: float  # mean log probability of its tokens


class Recognizer:
    """A Whisper with what tells it where speech is (``vad``: silero, pyannote or level)."""

    def __init__(self, folder: Path, device: str, compute_type: str, vad: str, cores: int) -> None:
        kind, _, number = device.partition(":")
        try:
            self._pipeline = whisperx.load_model(
                str(folder),
                kind,
                device_index=int(number or 0),
                compute_type=compute_type,
                vad_model=_detector(vad, device),
                vad_options={"chunk_size": CHUNK, "vad_onset": _ONSET, "vad_offset": _OFFSET},
                local_files_only=True,
                threads=cores,
            )
        except (
            ValueError,
            RuntimeError,
        ) as error:  # no Whisper, or no such arithmetic on the device
            if "out of memory" in str(error).lower():
                raise
            hint = (
                "--set speech.compute_type=default takes what suits the device"
                if "compute type" in str(error)
                else None
            )
            raise ModelError(
                f"the recognizer in {folder} cannot be used: {error}", hint=hint
            ) from error

    def language_of(self, samples: Floats) -> tuple[str, float]:
        """The language spoken in the first 30 s, and its probability; only of a Whisper of many languages."""
        whisper = self._pipeline.model
        sound = samples[: CHUNK * activity.RATE]
        bands = whisper.feat_kwargs.get("feature_size") or 80
        rest = CHUNK * activity.RATE - len(sound)
        encoded = whisper.encode(log_mel_spectrogram(sound, n_mels=bands, padding=rest))
        name, probability = whisper.model.detect_language(encoded)[0][0]
        return str(name).strip("<|>"), float(probability)

    def recognize(self, samples: Floats, language: str, batch: int) -> list[RecognizedSpan]:
        """The recognized speech, in spans of up to 30 s."""
        result = self._pipeline.transcribe(samples, batch_size=batch, language=language)
        return [
            RecognizedSpan(s["text"].strip(), s["start"], s["end"], s.get("avg_logprob", 0.0))
            for s in result["segments"]
        ]


class CharacterAligner:
    """A CTC net of characters."""

    def __init__(self, model: AlignModel, device: str) -> None:
        try:
            self._net, self._about = whisperx.load_align_model(
                model.language,
                device,
                model_name=model.name or str(model.folder),
                model_dir=str(model.folder) if model.name else None,
                model_cache_only=True,
            )
        except (ValueError, OSError, RuntimeError, KeyError) as error:
            if "out of memory" in str(error).lower():
                raise
            raise ModelError(f"the alignment model in {model.folder} cannot be used") from error
        self._device = device
        self._net.eval()

    @property
    def spaced(self) -> bool:
        """Whether its language puts blanks between words."""
        return self._about["language"] not in LANGUAGES_WITHOUT_SPACES

    def align(
        self, samples: Floats, stretches: Sequence[tuple[Sequence[str], float, float]]
    ) -> list[list[dict[str, object]]]:
        """For each stretch (words, start, end): the characters of its words, joined by blanks where the
        language has them, each with ``start``, ``end`` and ``score`` where it was found.
        """
        joint = " " if self.spaced else ""
        found = []
        with _no_sentences():
            for words, start, end in stretches:
                segment = {"text": joint.join(words), "start": start, "end": end}
                result = whisperx.align(
                    [segment],
                    self._net,
                    self._about,
                    samples,
                    self._device,
                    return_char_alignments=True,
                )
                found.append([c for part in result["segments"] for c in part["chars"] or ()])
        return found

    def recognize(self, samples: Floats, windows: Sequence[tuple[float, float]]) -> list[Word]:
        """The words that the net itself hears, roughly spelled: landmarks to lay a long script by."""
        return [word for start, end in windows for word in self._recognize(samples, start, end)]

    def _recognize(self, samples: Floats, start: float, end: float) -> Iterator[Word]:
        sound = samples[round(start * activity.RATE) : round(end * activity.RATE)]
        if len(sound) < _FRAME:
            return
        with torch.inference_mode():
            wave = torch.from_numpy(np.array(sound))[None].to(self._device)
            output = self._net(wave)
            scores = output.logits if hasattr(output, "logits") else output[0]
            best = scores[0].argmax(-1).cpu().numpy()
        names = {number: name for name, number in self._about["dictionary"].items()}
        blank = next((n for n, name in names.items() if name in ("[pad]", "<pad>")), 0)
        step = (end - start) / len(best)
        text, began, last = "", 0, blank
        for at, number in enumerate([*best.tolist(), blank]):
            name = names.get(number, "")
            if text and (name == "|" or at == len(best) or (text and not self.spaced)):
                yield Word(text, start + began * step, start + at * step)
                text = ""
            if number not in (blank, last) and name != "|" and len(name) == 1:
                began = began if text else at
                text += name
            last = number


class _Silero(Vad):  # type: ignore[misc] # WhisperX has no types
    """Silero's net as faster-whisper brings it; WhisperX would download its own."""

    def __call__(self, audio: dict[str, Any], **kwargs: Any) -> list[Segment]:
        options = VadOptions(
            threshold=_ONSET,
            max_speech_duration_s=CHUNK,
            min_silence_duration_ms=300,
            speech_pad_ms=100,
        )
        spans = get_speech_timestamps(audio["waveform"], options)
        return [Segment(s["start"] / activity.RATE, s["end"] / activity.RATE) for s in spans]

    @staticmethod
    def preprocess_audio(audio: Floats) -> Floats:
        return audio

    @staticmethod
    def merge_chunks(segments: list[Segment], chunk_size: float, **limits: Any) -> list[Any]:
        if not segments:
            return []
        return list(Vad.merge_chunks(segments, chunk_size, limits["onset"], limits["offset"]))


class _Level(_Silero):
    """No net: what is loud enough."""

    def __call__(self, audio: dict[str, Any], **kwargs: Any) -> list[Segment]:
        sound = audio["waveform"]
        spans = activity.voiced_spans(activity.levels(sound))
        windows = activity.windows(spans, len(sound) / activity.RATE, longest=float(CHUNK) - 1)
        return [Segment(start, end) for start, end in windows]


def _detector(name: str, device: str) -> Vad:
    if name == "pyannote":  # its weights are inside WhisperX's wheel
        return Pyannote(torch.device(device), vad_onset=_ONSET, vad_offset=_OFFSET)
    return {"silero": _Silero, "level": _Level}[name](_ONSET)


@contextmanager
def _no_sentences() -> Iterator[None]:
    """WhisperX splits text at sentences with a model of nltk's that it would download.

    The words that it gets here carry no punctuation, so a model that knows nothing does as well.
    """
    files = ("collocations.tab", "sent_starters.txt", "abbrev_types.txt", "ortho_context.tab")
    with TemporaryDirectory(prefix="dubkit-") as folder, contained():
        for language in {"english", *PUNKT_LANGUAGES.values()}:
            place = Path(folder) / "tokenizers" / "punkt_tab" / language
            place.mkdir(parents=True)
            for name in files:
                (place / name).touch()
        nltk.data.path.append(folder)
        try:
            yield
        finally:
            nltk.data.path.remove(folder)
