"""Models small enough to be made on the spot, in the formats of the real ones.

An aligner (a wav2vec2 with a character CTC head, as Hugging Face saves it) and a Whisper (through
ctranslate2's own converter).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ctranslate2.converters import TransformersConverter
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    Wav2Vec2Config,
    Wav2Vec2CTCTokenizer,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2ForCTC,
    Wav2Vec2Processor,
    WhisperConfig,
    WhisperForConditionalGeneration,
)
from whisperx.audio import N_SAMPLES, log_mel_spectrogram

from dubkit.records import Floats
from dubkit.speech import activity
from tests.optional.speech import RATE, Spoken

torch.set_num_threads(1)  # the nets are so small that a second thread waits longer than it works

LETTERS = "abcdefghijklmnopqrstuvwxyz'"
HOP = 320  # samples of one frame of the aligner
BLANK, BAR = 0, 1


def make_aligner(folder: Path, lessons: list[Spoken], steps: int = 225) -> float:
    """Train a small wav2vec2 on speech with known word times; the last loss."""
    torch.manual_seed(0)
    vocabulary = {"<pad>": BLANK, "|": BAR, "<unk>": 2, **{c: i + 3 for i, c in enumerate(LETTERS)}}
    net = Wav2Vec2ForCTC(
        Wav2Vec2Config(
            vocab_size=len(vocabulary), hidden_size=64, num_hidden_layers=2,
            num_attention_heads=2, intermediate_size=128, conv_dim=(48,) * 7,
            num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=4,
            feat_extract_norm="layer", do_stable_layer_norm=True, mask_time_prob=0.0,
            hidden_dropout=0.0, attention_dropout=0.0, feat_proj_dropout=0.0, layerdrop=0.0,
            pad_token_id=BLANK,
        )
    )  # fmt: skip
    optimizer = torch.optim.AdamW(net.parameters(), lr=2e-3)
    batches = [(torch.from_numpy(s.samples)[None], _frames(s, vocabulary)) for s in lessons]
    weight = torch.full((len(vocabulary),), 6.0)
    weight[BLANK] = 1.0  # nearly all frames are blank
    net.train()
    loss = torch.zeros(())
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = 3e-3 * min(1.0, (step + 1) / 20, 1.5 * (1 - step / steps))
        sound, target = batches[step % len(batches)]
        logits = net(sound).logits[0]
        loss = torch.nn.functional.cross_entropy(logits, target[: len(logits)], weight=weight)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    net.eval().save_pretrained(folder)
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    tokenizer = Wav2Vec2CTCTokenizer(
        str(folder / "vocab.json"), pad_token="<pad>", unk_token="<unk>", word_delimiter_token="|"
    )
    extractor = Wav2Vec2FeatureExtractor(do_normalize=False, return_attention_mask=False)
    Wav2Vec2Processor(extractor, tokenizer).save_pretrained(folder)
    return float(loss.detach())


def _frames(spoken: Spoken, vocabulary: dict[str, int]) -> torch.Tensor:
    """What a CTC net says frame by frame: each letter where it begins, blanks after it, a bar at the end.

    The letters of a word share its time equally.
    """
    target = np.full(len(spoken.samples) // HOP + 1, BLANK)
    for word, start, end in spoken.words:
        edges = np.linspace(start, end, len(word) + 1) * RATE / HOP
        for letter, at in zip(word, edges[:-1], strict=True):
            target[round(at)] = vocabulary[letter]
        target[round(edges[-1])] = BAR
    return torch.from_numpy(target)


SPECIAL = ["<|endoftext|>", "<|startoftranscript|>"]
TASKS = [
    "<|translate|>", "<|transcribe|>", "<|startoflm|>", "<|startofprev|>", "<|nospeech|>",
    "<|notimestamps|>",
]  # fmt: skip
VOCABULARY = 51865  # as many tokens as the real ones have


def make_whisper(folder: Path, lessons: list[tuple[Spoken, str, str]], steps: int = 160) -> float:
    """Train a small Whisper to say the text (2nd) of a track in its language (3rd); the last loss."""
    from faster_whisper.tokenizer import _LANGUAGE_CODES

    torch.manual_seed(0)
    languages = [f"<|{code}|>" for code in _LANGUAGE_CODES[:99]]
    tokens = _tokens(languages)
    net = WhisperForConditionalGeneration(
        WhisperConfig(
            vocab_size=len(tokens), d_model=64, encoder_layers=1, decoder_layers=2,
            encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=128,
            decoder_ffn_dim=128, num_mel_bins=80, max_target_positions=448,
            decoder_start_token_id=tokens["<|startoftranscript|>"],
            eos_token_id=tokens["<|endoftext|>"], pad_token_id=tokens["<|endoftext|>"],
            bos_token_id=tokens["<|endoftext|>"],
        )
    )  # fmt: skip
    tokenizer = _save_tokenizer(folder, tokens)
    # with more or less of the silence at their ends: what tells speech from silence cuts it somewhere
    shifts = [int(part * RATE) for part in (0.0, 0.1, 0.2, 0.27)]
    mels = [
        torch.stack(
            [_mel(spoken.samples[cut : len(spoken.samples) - cut]) for spoken, _, _ in lessons]
        )
        for cut in shifts
    ]
    told = [_told(tokenizer, tokens, text, language) for _, text, language in lessons]
    length = max(map(len, told))
    ids = torch.full((len(told), length), -100)
    for row, line in zip(ids, told, strict=True):
        row[: len(line)] = torch.tensor(line)
    loss = _teach(net, mels, ids, tokens["<|endoftext|>"], steps)
    about: dict[str, Any] = {
        "lang_to_id": {name: tokens[name] for name in languages},
        "is_multilingual": True,
        "suppress_tokens": [],
        "begin_suppress_tokens": [],
        "alignment_heads": [[0, 0]],
        "no_timestamps_token_id": tokens["<|notimestamps|>"],
    }
    for name, value in about.items():
        setattr(net.generation_config, name, value)
    net.generation_config._from_model_config = False  # else it is made anew where it is loaded
    net.save_pretrained(folder / "transformers")
    for name in ("tokenizer.json", "tokenizer_config.json", "preprocessor_config.json"):
        (folder / "transformers" / name).write_text((folder / name).read_text())
    converter = TransformersConverter(
        str(folder / "transformers"), copy_files=["tokenizer.json", "preprocessor_config.json"]
    )
    converter.convert(str(folder / "ct2"), force=True)
    return loss


def _tokens(languages: list[str]) -> dict[str, int]:
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    times = [f"<|{i * 0.02:.2f}|>" for i in range(1501)]
    after = len(SPECIAL) + len(languages) + len(TASKS) + len(times)
    # an empty token among them is how ctranslate2 tells a Whisper of many languages from an English one
    fill = ["", *(f"unused{i}" for i in range(1, VOCABULARY - len(letters) - after))]
    return {
        token: i for i, token in enumerate([*letters, *fill, *SPECIAL, *languages, *TASKS, *times])
    }


def _save_tokenizer(folder: Path, tokens: dict[str, int]) -> Tokenizer:
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = Tokenizer(models.BPE(tokens, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([t for t in tokens if t.startswith("<|")])
    tokenizer.save(str(folder / "tokenizer.json"))
    kind = {"tokenizer_class": "PreTrainedTokenizerFast"}
    (folder / "tokenizer_config.json").write_text(json.dumps(kind))
    features = {
        "feature_extractor_type": "WhisperFeatureExtractor", "feature_size": 80,
        "sampling_rate": RATE, "hop_length": 160, "n_fft": 400, "chunk_length": 30,
    }  # fmt: skip
    (folder / "preprocessor_config.json").write_text(json.dumps(features))
    return tokenizer


def _told(tokenizer: Any, tokens: dict[str, int], text: str, language: str) -> list[int]:
    head = ["<|startoftranscript|>", f"<|{language}|>", "<|transcribe|>", "<|notimestamps|>"]
    ids: list[int] = tokenizer.encode(f" {text}", add_special_tokens=False).ids
    return [*(tokens[t] for t in head), *ids, tokens["<|endoftext|>"]]


def _mel(samples: Floats) -> torch.Tensor:
    sound = activity.clean(samples)  # as loud as the engine makes it
    return torch.as_tensor(log_mel_spectrogram(sound, 80, padding=N_SAMPLES - len(sound)))


def _teach(net: Any, mels: list[torch.Tensor], ids: torch.Tensor, pad: int, steps: int) -> float:
    optimizer = torch.optim.AdamW(net.parameters(), lr=4e-3)
    net.train()
    loss = torch.zeros(())
    given = ids[:, :-1].masked_fill(ids[:, :-1] < 0, pad)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = 4e-3 * (1 - step / steps)
        logits = net(input_features=mels[step % len(mels)], decoder_input_ids=given).logits
        loss = torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), ids[:, 1:].flatten(), ignore_index=-100
        )
        loss = loss + torch.nn.functional.cross_entropy(logits[:, 0], ids[:, 1])  # the language
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    net.eval()
    return float(loss.detach())
