"""Words of Japanese writing and how they are read (janome); espeak-ng itself reads kana only.

Alone because it is loaded by name: it needs janome, of the extra ``languages``.
"""

from __future__ import annotations

from janome.tokenizer import Tokenizer

_KATAKANA_TO_HIRAGANA = {code: code - 0x60 for code in range(0x30A1, 0x30F7)}


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
