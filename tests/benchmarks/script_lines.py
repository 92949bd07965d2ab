"""Count how well each line of a script is judged: spoken, in part, or not in the dub.

    python tests/benchmarks/script_lines.py DATA OUT.json [--trials N] [--seed S] [--voices GRID,de]

DATA is the folder of clips. Each trial is a dub of six lines, of one speaker of GRID (three of them, real voices, whose
sentences all have one grammar) or of a voice of espeak-ng in English, German, French or Spanish, and a script that is
right, or has a line of other words in place of one, a line too many, a line too few, or a line that goes on after what
is spoken; half of them with the times of their lines. A line is judged right if 80 % and more of its words are found
where it is spoken, under 20 % where it is not, and between .15 and .85 where it is spoken by half. Of lines that the
script lacks it is counted whether the sound is reported. Prints a table by kind and voice.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dubkit.config.schema import SpeechSettings
from dubkit.errors import InputError
from dubkit.media.audio import load_samples
from dubkit.records import Floats, ScriptLine
from dubkit.speech.pocketsphinx import PocketsphinxAligner
from dubkit.training.lab.teacher_set import sentence

RATE = 16000
LINES = 6
PAUSE = 0.4  # seconds between two lines
KINDS = ("right", "other words", "too many", "too few", "half")
VOICES = {
    "en": ("en-gb", "en-us+f3"),
    "de": ("de", "de+f2"),
    "fr": ("fr", "fr+f4"),
    "es": ("es", "es+m3"),
}
SENTENCES = {
    "en": """The harbor was empty when we came back at night. Nobody had seen the captain since the storm.
        I will never understand why she sold the house. Give me the keys and wait in the car. The doctor says that it
        may take another week. We should have asked your brother first. There is a letter on the table for you. He
        always counts the money twice before he pays. My grandmother baked bread on every Sunday. That was the last
        train to the city tonight. Please close the window, it is getting cold. They found the missing boy near the
        river. You cannot blame him for what his father did.""",
    "de": """Der Hafen war leer, als wir in der Nacht zurückkamen. Niemand hat den Kapitän seit dem Sturm gesehen. Ich
        werde nie verstehen, warum sie das Haus verkauft hat. Gib mir die Schlüssel und warte im Wagen. Der Arzt sagt,
        dass es noch eine Woche dauern kann. Wir hätten zuerst deinen Bruder fragen sollen. Auf dem Tisch liegt ein
        Brief für dich. Er zählt das Geld immer zweimal, bevor er bezahlt. Meine Großmutter hat jeden Sonntag Brot
        gebacken. Das war heute der letzte Zug in die Stadt. Bitte mach das Fenster zu, es wird kalt. Sie haben den
        Jungen am Fluss gefunden. Du kannst ihm nicht vorwerfen, was sein Vater getan hat.""",
    "fr": """Le port était vide quand nous sommes revenus cette nuit. Personne n'a vu le capitaine depuis la tempête. Je
        ne comprendrai jamais pourquoi elle a vendu la maison. Donne-moi les clés et attends dans la voiture. Le médecin
        dit que cela peut durer encore une semaine. Nous aurions dû demander à ton frère. Il y a une lettre pour toi sur
        la table. Il compte toujours son argent deux fois avant de payer. Ma grand-mère faisait du pain tous les
        dimanches. C'était le dernier train pour la ville ce soir. Ferme la fenêtre, il commence à faire froid. Ils ont
        retrouvé le garçon près de la rivière. Tu ne peux pas lui reprocher les fautes de son père.""",
    "es": """El puerto estaba vacío cuando volvimos por la noche. Nadie ha visto al capitán desde la tormenta. Nunca
        entenderé por qué vendió la casa. Dame las llaves y espera en el coche. El médico dice que puede durar otra
        semana. Primero tendríamos que haber preguntado a tu hermano. Hay una carta para ti encima de la mesa. Siempre
        cuenta el dinero dos veces antes de pagar. Mi abuela hacía pan todos los domingos. Ese era el último tren a la
        ciudad. Cierra la ventana, que empieza a hacer frío. Encontraron al niño cerca del río. No puedes culparle de lo
        que hizo su padre.""",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Line:
    """A spoken line."""

    text: str
    samples: Floats


def grid_lines(data: Path) -> dict[str, list[Line]]:
    """Lines of each of three speakers."""
    clips = {
        "GRID 1": sorted((data / "grid_s1").glob("*.mp4"))[::9],
        "GRID 26": sorted((data / "grid_more").glob("s26_*")),
        "GRID 31": sorted((data / "grid_more").glob("s31_*")),
    }
    found: dict[str, list[Line]] = {}
    for who, paths in clips.items():
        lines = []
        for path in paths:
            samples = load_samples(path)
            if samples is not None:
                text = sentence({"set": "grid", "file": path.name}, {})
                assert text is not None
                lines.append(Line(text, samples))
        found[who] = lines
    return found


def voiced_lines() -> dict[str, list[Line]]:
    """Lines of each voice of espeak-ng."""
    found: dict[str, list[Line]] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "line.wav"
        for language, voices in VOICES.items():
            texts = [text.strip() for text in " ".join(SENTENCES[language].split()).split(". ")]
            for voice in voices:
                lines = []
                for text in texts:
                    command = ["espeak-ng", "-v", voice, "-s", "150", "-w", str(path), text]
                    subprocess.run(command, check=True, capture_output=True)
                    lines.append(Line(text.rstrip("."), load_samples(path)))
                found[f"{language} {voice}"] = lines
    return found


@dataclass(frozen=True, slots=True)
class Trial:
    """A dub, its script, and of each line of the script the share that is spoken."""

    kind: str
    samples: Floats
    script: tuple[ScriptLine, ...]
    spoken: tuple[float, ...]
    lost: tuple[float, float] | None  # seconds of the dub that the script lacks


def made(lines: list[Line], kind: str, timed: bool, random: np.random.Generator) -> Trial:
    """A trial of ``kind`` from lines of one speaker."""
    order = random.permutation(len(lines))
    chosen, rest = [lines[k] for k in order[:LINES]], [lines[k] for k in order[LINES:]]
    spans, pieces, at = [], [], 0.0
    for line in chosen:
        spans.append((at, at + len(line.samples) / RATE))
        pieces += [line.samples, np.zeros(round(PAUSE * RATE), np.float32)]
        at = spans[-1][1] + PAUSE
    texts, times = [line.text for line in chosen], list(spans)
    spoken = [1.0] * LINES
    where, lost = int(random.integers(1, LINES - 1)), None
    if kind == "other words":
        texts[where], spoken[where] = rest[0].text, 0.0
    elif kind == "too many":
        before = times[where - 1][1]
        texts.insert(where, rest[0].text)
        times.insert(where, (before, before + PAUSE))
        spoken.insert(where, 0.0)
    elif kind == "too few":
        lost = times.pop(where)
        del texts[where], spoken[where]
    elif kind == "half":
        words = len(texts[where].split())
        texts[where] = f"{texts[where]} {rest[0].text.lower()}"
        spoken[where] = words / len(texts[where].split())
    script = tuple(
        ScriptLine(text, begin if timed else None, end if timed else None, number=number)
        for number, (text, (begin, end)) in enumerate(zip(texts, times, strict=True), 1)
    )
    return Trial(kind, np.concatenate(pieces), script, tuple(spoken), lost)


def judged(share: float, found: float) -> bool:
    """Whether a line of which ``share`` is spoken was judged rightly."""
    if share == 1.0:
        return found >= 0.8
    return found < 0.2 if share == 0.0 else 0.15 <= found <= 0.85


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--trials", type=int, default=4, help="of each kind and voice")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--voices", default="", help="beginnings of their names, with commas between them"
    )
    given = parser.parse_args()
    random = np.random.default_rng(given.seed)
    aligner = PocketsphinxAligner(SpeechSettings())
    sums: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0] * 6)
    rows = []
    for voice, lines in {**grid_lines(given.data), **voiced_lines()}.items():
        if not voice.startswith(tuple(given.voices.split(","))):
            continue
        language = "en" if voice.startswith("GRID") else voice.split()[0]
        for kind in KINDS:
            for number in range(given.trials):
                trial = made(lines, kind, bool(number % 2), random)
                row: dict[str, object] = {"voice": voice, "kind": kind, "timed": bool(number % 2)}
                try:
                    speech = aligner.align(trial.samples, trial.script, language)
                except InputError as error:
                    found = [0.0] * len(trial.spoken)
                    row["refused"] = str(error)
                    reported = True
                else:
                    found = [line.heard for line in speech.lines]
                    reported = any("not in the script" in warning for warning in speech.warnings)
                total = sums[kind, voice.split()[0]]
                for share, share_found in zip(trial.spoken, found, strict=True):
                    total[0 if share == 1 else 2] += 1
                    total[1 if share == 1 else 3] += judged(share, share_found)
                if trial.lost:
                    total[4] += 1
                    total[5] += reported
                texts = [line.text for line in trial.script]
                rows.append({**row, "spoken": trial.spoken, "found": found, "texts": texts})
                given.out.write_text(
                    json.dumps(rows, ensure_ascii=False, indent=1), encoding="utf-8"
                )
    for (kind, voice), (spoken, right, wrong, seen, lost, told) in sums.items():
        sys.stdout.write(
            f"{kind:12s} {voice:5s} spoken lines found {right}/{spoken}, wrong lines seen {seen}/{wrong}, "
            f"sound without a line reported {told}/{lost}\n"
        )
    every = np.array(list(sums.values())).sum(0)
    spoken, right, wrong, seen, lost, reported = every
    sys.stdout.write(
        f"all: spoken {right}/{spoken}, wrong {seen}/{wrong}, lost {reported}/{lost}\n"
    )


if __name__ == "__main__":
    main()
