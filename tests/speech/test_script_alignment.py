# ruff: noqa: E501 - a case is one line
"""Where script and dub differ is found and told. The dub: sentences of one speaker, joined."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from dubkit.config.schema import SpeechSettings
from dubkit.errors import InputError
from dubkit.media.audio import load_samples
from dubkit.records import Floats, ScriptLine, Speech
from dubkit.speech.pocketsphinx import PocketsphinxAligner
from tests.optional.speech import say

LENGTH = 3.0  # seconds of a clip
CLIPS = [0, 6, 12, 18, 30]


@pytest.fixture(scope="module")
def sentences(data: Path) -> list[tuple[np.ndarray, str]]:
    found = []
    files = sorted((data / "grid_s1").glob("*.align"))
    for path in (files[i] for i in CLIPS):
        lines = [line.split() for line in path.read_text(encoding="ascii").splitlines()]
        text = " ".join(word for *_, word in lines if word not in ("sil", "sp"))
        samples = load_samples(path.with_suffix(".mp4"))
        whole = np.zeros(round(LENGTH * 16000), np.float32)
        whole[: len(samples)] = samples[: len(whole)]
        found.append((whole, text))
    return found


@pytest.fixture(scope="module")
def aligner() -> PocketsphinxAligner:
    return PocketsphinxAligner(SpeechSettings())


def align(
    aligner: PocketsphinxAligner,
    sentences: list[tuple[np.ndarray, str]],
    heard: list[int],
    written: list[int],
    timed: bool,
) -> Speech:
    lines = []
    for number in written:
        at = LENGTH * (heard.index(number) if number in heard else written.index(number))
        times = (at + 0.5, at + 2.2) if timed else (None, None)
        lines.append(ScriptLine(sentences[number][1], *times))
    samples = np.concatenate([sentences[number][0] for number in heard])
    return aligner.align(samples, tuple(lines), "en")


@pytest.mark.parametrize("timed", [False, True], ids=["plain", "timed"])
def test_a_right_script_differs_nowhere(
    aligner: PocketsphinxAligner, sentences: list[tuple[np.ndarray, str]], timed: bool
) -> None:
    speech = align(aligner, sentences, [0, 1, 2, 3], [0, 1, 2, 3], timed)
    assert len(speech.words) == 24
    assert not speech.unspoken
    assert not speech.unscripted
    assert not speech.warnings


@pytest.mark.parametrize("timed", [False, True], ids=["plain", "timed"])
def test_a_line_that_is_not_spoken_is_told_and_not_smeared_over_others(
    aligner: PocketsphinxAligner, sentences: list[tuple[np.ndarray, str]], timed: bool
) -> None:
    right = align(aligner, sentences, [0, 1, 3], [0, 1, 3], timed)
    speech = align(aligner, sentences, [0, 1, 3], [0, 1, 2, 3], timed)
    missing = sentences[2][1].split()
    assert set(missing[2:]) <= set(" ".join(speech.unspoken).split())
    assert abs(len(speech.words) - 18) <= 2
    last = [w.start for w in right.words[-5:]]
    assert [w.start for w in speech.words[-5:]] == pytest.approx(last, abs=0.06)
    assert any("not found in the dub" in warning for warning in speech.warnings)


def test_sound_between_timed_lines_that_no_line_says_is_told(
    aligner: PocketsphinxAligner, sentences: list[tuple[np.ndarray, str]]
) -> None:
    speech = align(aligner, sentences, [0, 1, 2, 3], [0, 1, 3], timed=True)
    assert len(speech.words) == 18
    (start, end), *more = speech.unscripted
    assert not more
    assert 2 * LENGTH <= start < end <= 3 * LENGTH
    inside = [p for p in speech.phonemes if start < p.start < end and p.symbol != "sil"]
    assert len(inside) > 5
    assert all(p.word is None for p in inside)


def test_subtitles_of_another_cut_are_laid_by_their_words(
    aligner: PocketsphinxAligner, sentences: list[tuple[np.ndarray, str]]
) -> None:
    samples = np.concatenate([sentences[n][0] for n in (0, 1, 2, 3)])
    late = [
        ScriptLine(sentences[n][1], 3.0 * i + 3.4, 3.0 * i + 5.2) for i, n in enumerate(range(4))
    ]
    speech = aligner.align(samples, tuple(late), "en")
    assert len(speech.words) >= 22
    assert speech.words[0].start < 1.5


@pytest.mark.parametrize("timed", [False, True], ids=["plain", "timed"])
def test_a_line_that_goes_on_after_what_is_spoken_keeps_what_is(
    aligner: PocketsphinxAligner, sentences: list[tuple[np.ndarray, str]], timed: bool
) -> None:
    texts = [text for _, text in sentences[:3]]
    texts[1] = f"{texts[1]} the doctor says that it may take another week"
    script = tuple(
        ScriptLine(
            text,
            LENGTH * k + 0.5 if timed else None,
            LENGTH * k + 2.2 if timed else None,
            number=k + 1,
        )
        for k, text in enumerate(texts)
    )
    samples = np.concatenate([sound for sound, _ in sentences[:3]])
    first, second, third = aligner.align(samples, script, "en").lines
    assert first.heard == third.heard == 1
    assert 0.3 <= second.heard <= 0.6
    assert second.start is not None
    assert second.end is not None
    assert LENGTH <= second.start < second.end <= 2 * LENGTH


LOST = "lgiszp"
SPOKEN = ("pgak5a", LOST, "lrwl5s", "pwaj7s", "pbwj3s", "bwim5s")


def test_sound_that_a_plain_script_lacks_takes_not_all_lines_away(
    aligner: PocketsphinxAligner, data: Path
) -> None:
    """It did: all words were drawn off their places. One line, which fits badly, still is not found."""
    pieces, texts = [], []
    for name in SPOKEN:
        path = data / "grid_s1" / f"{name}.mp4"
        said = path.with_suffix(".align").read_text(encoding="ascii").split()[2::3]
        pieces += [load_samples(path), np.zeros(6400, np.float32)]
        texts.append(" ".join(word for word in said if word not in ("sil", "sp")))
    script = tuple(
        ScriptLine(text) for name, text in zip(SPOKEN, texts, strict=True) if name != LOST
    )
    speech = aligner.align(np.concatenate(pieces), script, "en")
    assert [line.heard for line in speech.lines][:4] == [1, 1, 1, 1]
    assert any("are not in the script" in warning for warning in speech.warnings)


HALF = "Good morning, ladies and gentlemen."
SAID = "Today I would like to tell you how we waited for the train."
NEVER = "My cousin bought seventeen purple elephants in the market and painted them all green."


def voices(text: str, voice: str) -> Floats:
    """What a voice of espeak-ng says, with a short silence around it."""
    rest = np.zeros(4800, np.float32)
    return np.concatenate([rest, say(text, voice), rest])


def test_a_script_of_which_most_is_not_said_is_refused_with_a_count(
    aligner: PocketsphinxAligner,
) -> None:
    dub = voices(f"{HALF} {SAID}", "en-us")
    with pytest.raises(
        InputError, match=r"the script does not match the dub: \d+ of its 19 words were found"
    ):
        aligner.align(dub, (ScriptLine(f"{HALF} {NEVER}", number=1),), None)


def test_lines_that_are_not_said_are_named_and_half_lines_too(
    aligner: PocketsphinxAligner,
) -> None:
    script = (
        ScriptLine(HALF, number=1),
        ScriptLine(SAID, number=2),
        ScriptLine(NEVER, number=5),
        ScriptLine(HALF, number=7),
    )
    speech = aligner.align(voices(f"{HALF} {SAID} {HALF}", "en-us"), script, "en")
    assert [line.number for line in speech.lines if not line.heard] == [5]
    assert [line.heard for line in speech.lines if line.number != 5] == [1.0, 1.0, 1.0]
    first, second, _, last = speech.lines
    assert first.start is not None
    assert second.start is not None
    assert last.start is not None
    assert first.start < second.start < last.start
    assert any("were not found in the dub (line 5)" in warning for warning in speech.warnings)


@pytest.mark.parametrize(
    ("voice", "language", "said", "never"),
    [
        ("de", "de", "Guten Morgen, meine Damen und Herren. Heute möchte ich Ihnen erzählen, wie wir auf den Zug warteten.",
         "Mein Vetter kaufte siebzehn purpurne Elefanten auf dem Markt."),
        ("fr", "fr", "Bonjour mesdames et messieurs. Aujourd'hui je voudrais vous raconter comment nous avons attendu le train.",
         "Mon cousin a acheté dix-sept éléphants violets au marché."),
    ],
)  # fmt: skip
def test_lines_of_other_languages_are_judged_by_their_own_sound(
    aligner: PocketsphinxAligner, voice: str, language: str, said: str, never: str,
) -> None:  # fmt: skip
    dub = voices(said, voice)
    right = aligner.align(dub, (ScriptLine(said, number=1),), language)
    assert not right.unspoken
    both = (ScriptLine(never, number=1), ScriptLine(said, number=2))
    speech = aligner.align(dub, both, language)
    assert [line.number for line in speech.lines if line.heard < 0.5] == [1]
    assert speech.lines[1].heard > 0.8


def test_each_part_of_a_script_in_two_languages_is_pronounced_in_its_own(
    aligner: PocketsphinxAligner,
) -> None:
    pytest.importorskip("py3langid", reason="needs the extra languages")
    german = "Guten Morgen, meine Damen und Herren."
    dub = np.concatenate([voices(german, "de"), voices(SAID, "en-us")])
    speech = aligner.align(dub, (ScriptLine(f"{german} {SAID}", number=1),), None)
    assert len(speech.words) == 19
    assert not speech.unspoken
    assert any("in several languages" in warning for warning in speech.warnings)
    (train,) = (i for i, word in enumerate(speech.words) if word.text == "train")
    assert "ɹ" in [p.symbol for p in speech.phonemes if p.word == train]


FRENCH = (
    "Bonjour mes amis, il fait très beau aujourd'hui.",
    "Nous allons ensemble dans la grande forêt derrière la maison.",
    "Le chien de ma voisine court après les oiseaux du jardin.",
)


def test_of_a_french_script_with_one_wrong_line_that_line_alone_is_left_to_the_sound(
    aligner: PocketsphinxAligner,
) -> None:
    """All French fits badly beside English; a line is judged by the others of its script."""
    pytest.importorskip("espeakng_loader", reason="needs the extra languages")
    pause = np.zeros(8000, np.float32)
    dub = np.concatenate([part for text in FRENCH for part in (pause, say(text, "fr"))])
    wrong = "Le ministre des finances a présenté son nouveau budget hier."
    texts = (FRENCH[0], wrong, *FRENCH[1:])
    script = tuple(ScriptLine(text, number=n) for n, text in enumerate(texts, start=1))
    found = aligner.align(dub, script, "fr")
    assert [line.heard for line in found.lines] == [1, 0, 1, 1]
    assert "(line 2): lips follow the sound alone there" in " / ".join(found.warnings)


GERMAN = """Guten Tag, meine Damen und Herren.
Wir sprechen heute über die Arbeit der letzten Monate.
Viele Menschen haben uns geschrieben und um Hilfe gebeten.
Bitte bleiben Sie ruhig und hören Sie genau zu.
Morgen beginnt ein neuer Abschnitt für unsere Stadt.
Das Parlament hat lange über diesen Vorschlag beraten.
Am Ende waren fast alle mit dem Plan zufrieden.
Unsere Kinder brauchen gute Schulen und sichere Wege.
Darum bauen wir mehr Brücken und bessere Straßen.
Niemand soll im Winter ohne warme Wohnung bleiben.
Ich bin überzeugt, dass wir das zusammen schaffen.
Vielen Dank für Ihre Aufmerksamkeit und Geduld."""


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")
def test_lines_that_fit_badly_are_found_and_one_that_is_not_spoken_is_not(tmp_path: Path) -> None:
    """German, aligned by an English model: two of these lines fit no better than wrong ones elsewhere."""
    dub, lines = np.zeros(0, np.float32), list[ScriptLine]()
    for number, text in enumerate(GERMAN.splitlines(), 1):
        path = tmp_path / f"{number}.wav"
        said = lines[0].text if number == 8 else text  # one line is not what is spoken
        subprocess.run(["espeak-ng", "-v", "de", "-s", "150", "-w", path, said], check=True)
        samples, at = load_samples(path), len(dub) / 16000 + 1.2
        lines.append(ScriptLine(text, at, at + len(samples) / 16000, number=number))
        dub = np.concatenate([dub, np.zeros(19200, np.float32), samples])
    dub = np.concatenate([dub, np.zeros(16000, np.float32)])
    found = PocketsphinxAligner(SpeechSettings()).align(dub, tuple(lines), "de")
    assert [line.number for line in found.lines if line.heard < 0.5] == [8]
