"""What a text's letters say: which language it is in (py3langid), and how Japanese is read (janome).

Alone because it is loaded by name: it needs the packages of the extra ``languages``. espeak-ng itself reads kana only.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import cache

from janome.tokenizer import Tokenizer
from py3langid.langid import MODEL_FILE, LanguageIdentifier

_SURE = 0.3  # of all languages together 1; one line of text gives more than .9
_KATAKANA_TO_HIRAGANA = {code: code - 0x60 for code in range(0x30A1, 0x30F7)}


@cache
def _identifier(codes: frozenset[str]) -> LanguageIdentifier:
    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    identifier.set_languages(sorted(codes & set(identifier.labels)))
    return identifier


def guess(text: str, codes: Collection[str], sure: float = _SURE) -> str | None:
    """The most probable of ``codes`` (of those, the ones of two letters); None where none is ``sure`` enough."""
    wanted = frozenset(code for code in codes if len(code) == 2)
    code, probability = _identifier(wanted).classify(text)
    return str(code) if probability >= sure else None


class JapaneseReader:
    """See `dubkit.speech.g2p.Reader`."""

    def __init__(self) -> None:
        self._tokenizer = Tokenizer()

    def read(self, text: str) -> list[tuple[str, str]]:
        """Pairs (written, read in hiragana); what has no reading is read as it is written."""
        pairs = []
        for token in self._tokenizer.tokenize(text):
            if any(c.isalnum() for c in token.surface):
                reading = token.phonetic if token.phonetic not in ("*", "") else token.surface
                pairs.append((token.surface, reading.translate(_KATAKANA_TO_HIRAGANA)))
        return pairs
