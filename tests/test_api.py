"""What a caller of the library sees."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from pkgutil import iter_modules
from threading import Event, Timer

import pytest

import dubkit
from dubkit.api import batch, make_job, run, run_job
from dubkit.batches import BatchResult
from dubkit.config.presets import as_settings, load_config
from dubkit.delivery import Delivered
from dubkit.errors import ConfigError, InputError, Interrupted, UsageError
from dubkit.evaluation import Evaluation
from dubkit.media.credentials import Verification
from dubkit.pipeline.inspect import JobStatus
from dubkit.pipeline.result import RunResult
from dubkit.planning.film_cast import FilmCast
from dubkit.planning.film_plan import FilmPlan
from dubkit.progress import NoProgress
from dubkit.records import Shown
from dubkit.review import Report
from dubkit.stages.adapt import PersonResult
from tests.fakes import Bench, make_config


def test_importing_dubkit_loads_nothing_heavy() -> None:
    code = (
        "import sys, dubkit, dubkit.errors, dubkit.config.schema\n"
        "heavy = {'torch', 'numpy', 'cv2', 'av', 'joblib', 'scenedetect'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_public_names_are_there() -> None:
    for name in (
        "adapt",
        "batch",
        "cast",
        "evaluate",
        "plan",
        "report",
        "run",
        "job_status",
        "verify",
        "DubkitError",
        "__version__",
    ):
        assert getattr(dubkit, name)
        assert name in dir(dubkit)
    with pytest.raises(AttributeError, match="nonsense"):
        dubkit.nonsense  # noqa: B018


def test_no_call_has_the_name_of_a_module() -> None:
    """Importing the module would put it in the place of the call."""
    modules = {module.name for module in iter_modules(dubkit.__path__)}
    assert not modules & set(dubkit.api.__all__)


@pytest.mark.parametrize(
    ("video", "codec", "output"),
    [
        ("a.mp4", "h264", "a.dubbed.mp4"),
        ("a b.MKV", "h265", "a b.dubbed.MKV"),
        ("a.avi", "h264", "a.dubbed.avi"),
        ("a", "h264", "a.dubbed.mp4"),
        ("a.mp4", "ffv1", "a.dubbed.mkv"),
        ("a.mp4", "prores", "a.dubbed.mov"),
        ("a.mkv", "prores", "a.dubbed.mkv"),
    ],
)
def test_the_result_lies_beside_the_film(video: str, codec: str, output: str) -> None:
    config = load_config(settings=[f"generate.codec={codec}"])
    job = make_job(Path("/films") / video, "/dubs/d.wav", config)
    assert job.output == Path("/films") / output
    assert job.work == Path("/films") / f"{Path(output).stem}.dubkit"


def test_paths_may_be_relative_and_begin_with_a_dash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    job = make_job("-a.mp4", "b.wav", load_config(), out="~/c.mp4", work="w", script="s", shots="t")
    assert job.video == tmp_path / "-a.mp4"
    assert job.output == Path("~/c.mp4").expanduser()
    assert (job.work, job.script, job.shots) == (tmp_path / "w", tmp_path / "s", tmp_path / "t")


def test_a_wrong_request_is_an_error_of_ours(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no file"):
        run(tmp_path / "no.mp4", tmp_path / "no.wav")
    with pytest.raises(ConfigError, match=r"parallel\.jobs \(--jobs\)"):
        run(tmp_path / "no.mp4", tmp_path / "no.wav", jobs=0)


def test_settings_are_tables_texts_or_keywords(tmp_path: Path) -> None:
    for settings in (
        {"faces": {"which": "nobody"}},
        {"faces.which": "nobody"},
        ["faces.which=nobody"],
    ):
        with pytest.raises(ConfigError, match=r"faces\.which \(--set faces\.which"):
            run(tmp_path / "no.mp4", tmp_path / "no.wav", settings=settings)
    with pytest.raises(ConfigError, match=r"faces\.which \(--which\)"):
        run(tmp_path / "no.mp4", tmp_path / "no.wav", faces="nobody")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="no keyword 'face'; known: language"):
        run(tmp_path / "no.mp4", tmp_path / "no.wav", face="all")  # type: ignore[call-arg]


def test_settings_of_a_table_mean_what_they_say() -> None:
    table = {
        "speech": {"language": None, "align_model": "a b"},
        "generate.amplitude": 1.5,
        "adapt": {"enabled": True},
    }
    config = load_config(settings=as_settings(table))
    assert (config.speech.language, config.speech.align_model) == (None, "a b")
    assert (config.generate.amplitude, config.adapt.enabled) == (1.5, True)


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_run_that_is_canceled_keeps_what_is_finished(tmp_path: Path, jobs: int) -> None:
    bench = Bench(tmp_path, config=make_config(jobs=jobs))
    cancel = Event()

    class Impatient(NoProgress):
        def advance(
            self, stage: str, unit: str, frames: int, seconds: float, error: str | None
        ) -> None:
            if stage == "generate":
                cancel.set()

    with pytest.raises(Interrupted):
        run_job(bench.request(), progress=Impatient(), stages=bench.stages, cancel=cancel)
    before = bench.counts()
    assert any(unit.startswith("generate/") for unit in before)
    assert "stitch/job" not in before
    assert bench.run().exit_code == 0
    again = set(before) & set(bench.counts())
    assert len(again) <= jobs - 1, "only what another worker was at is begun again"


def test_a_long_unit_is_canceled_too(tmp_path: Path) -> None:
    bench = Bench(tmp_path, config=make_config(jobs=2))
    bench.trouble(generate="60")
    cancel = Event()
    timer = Timer(1.5, cancel.set)
    timer.start()
    with pytest.raises(Interrupted):
        run_job(bench.request(), progress=NoProgress(), stages=bench.stages, cancel=cancel)
    timer.join()


def test_results_are_short_in_a_console_and_a_table_in_a_notebook() -> None:
    result = RunResult(Path("a&b.mp4"), 10, kept=("shot 1: covered",), frames=50, seconds=2.0)
    assert repr(result) == (
        "RunResult(output=a&b.mp4, exit_code=10, frames=50, seconds=2.0, kept=1, warnings=0)"
    )
    assert "<tr><th>output</th><td>a&amp;b.mp4</td></tr>" in result._repr_html_()
    kinds = (JobStatus, FilmPlan, FilmCast, Evaluation, BatchResult, Report, Delivered)
    assert all(issubclass(kind, Shown) for kind in (*kinds, Verification, PersonResult))
    assert repr(Report(Path("page.html"), 3, 2, 99)) == "Report(path=page.html, shots=3, videos=2)"


def test_a_batch_with_an_invalid_job_starts_nothing(tmp_path: Path) -> None:
    jobs = tmp_path / "jobs.csv"
    jobs.write_text("video;audio\nno.mp4;no.wav\n", encoding="utf-8")
    with pytest.raises(UsageError, match="1 of 1 jobs are invalid"):
        batch(jobs, tmp_path / "out")
    result = batch(jobs, tmp_path / "out", skip_invalid=True)
    assert result.outcomes == ()


def test_nothing_is_logged_unless_the_caller_wants_it(tmp_path: Path) -> None:
    code = "import dubkit\ntry: dubkit.run('no.mp4', 'no.wav')\nexcept dubkit.DubkitError: pass\n"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout + done.stderr == ""
