"""Presets: differences that are found, extended, merged and validated once."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from dubkit.config.presets import (
    ENGINE_SETTINGS,
    Layer,
    find_layers,
    find_preset,
    list_presets,
    load_config,
    merge,
    origins,
    parse_setting,
    project_file,
    validate,
)
from dubkit.config.schema import Config
from dubkit.errors import ConfigError


def test_the_shipped_presets_are_valid_and_described() -> None:
    found = {preset.name: preset for preset in list_presets()}
    assert {"preview", "balanced", "broadcast", "lossless"} <= set(found)
    for name, preset in found.items():
        assert preset.description
        load_config([name])


def test_balanced_is_the_defaults() -> None:
    assert load_config(["balanced"]) == load_config() == Config()


def test_a_preset_extends_another() -> None:
    lossless, broadcast = load_config(["lossless"]), load_config(["broadcast"])
    assert (lossless.generate.codec, lossless.generate.quality) == ("source", 0.0)
    assert lossless.faces == broadcast.faces
    assert lossless.generate.references == broadcast.generate.references


def test_later_wins_presets_then_settings_then_flags(tmp_path: Path) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text("[generate]\nquality = 12\namplitude = 1.2\n")
    presets = ["preview", str(mine)]
    assert load_config(presets).generate.quality == 12
    assert load_config(presets).generate.speed == "ultrafast"
    config = load_config(presets, ["generate.quality=13"], {"generate.amplitude": 0.9})
    assert (config.generate.quality, config.generate.amplitude) == (13, 0.9)
    assert load_config(presets, [], {"generate.amplitude": None}).generate.amplitude == 1.2


def test_every_problem_is_listed_with_its_path_and_file(tmp_path: Path) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text("[faces]\nwich = 'all'\n[generate]\nquality = 99\n")
    with pytest.raises(ConfigError) as caught:
        load_config([str(mine)], ["timing.offset_ms=late", "nonsense.a=1"])
    message = caught.value.message
    for part in (
        "4 settings are wrong",
        f"faces.wich ({mine})",
        "did you mean faces.which?",
        "known here: probe, ",
        f"generate.quality ({mine})",
        "timing.offset_ms (--set timing.offset_ms=late)",
        "nonsense (--set nonsense.a=1)",
    ):
        assert part in message


def test_a_value_where_a_table_should_be_is_reported(tmp_path: Path) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text("faces = 'all'\n")
    with pytest.raises(ConfigError, match=r"faces \(.*mine\.toml\)"):
        load_config([str(mine)])


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_the_nearest_file_of_a_project_counts(tmp_path: Path) -> None:
    write(tmp_path / "dubkit.toml", "[generate]\nquality = 12\n")
    write(
        tmp_path / "show/pyproject.toml", "[project]\nname = 'tools'\n"
    )  # speaks of something else
    inner = tmp_path / "show/reel"
    assert project_file(inner) == tmp_path / "dubkit.toml"
    assert load_config(folder=inner).generate.quality == 12
    write(tmp_path / "show/pyproject.toml", "[tool.dubkit]\nextends = 'preview'\n")
    assert load_config(folder=inner).generate.speed == "ultrafast"
    assert load_config(folder=inner).generate.quality != 12
    write(inner / "dubkit.toml", "[faces]\nwhich = 'all'\n")
    assert load_config(folder=inner).faces.which == "all"
    assert load_config() == Config()  # where no film is named


def test_a_broken_file_of_a_project_is_reported_and_a_foreign_one_is_not(tmp_path: Path) -> None:
    write(tmp_path / "pyproject.toml", "not toml")
    assert load_config(folder=tmp_path) == Config()
    write(tmp_path / "dubkit.toml", "not toml")
    with pytest.raises(ConfigError, match=r"dubkit\.toml is not valid TOML"):
        load_config(folder=tmp_path)


def test_the_command_line_wins_over_variables_and_those_over_the_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "dubkit.toml", "[generate]\nquality = 12\namplitude = 1.2\nfeather = 0.3\n")
    monkeypatch.setenv("DUBKIT_GENERATE__QUALITY", "13")
    monkeypatch.setenv("DUBKIT_GENERATE__AMPLITUDE", "1.3")
    monkeypatch.setenv("DUBKIT_FACES__WHICH", "")  # not set
    monkeypatch.setenv("DUBKIT_CACHE", "/no/setting")
    layers = find_layers(settings=["generate.amplitude=1.4"], folder=tmp_path)
    generate = validate(layers).generate
    assert (generate.quality, generate.amplitude, generate.feather) == (13, 1.4, 0.3)
    assert origins(layers) == {
        "generate.quality": "$DUBKIT_GENERATE__QUALITY",
        "generate.amplitude": "--set generate.amplitude=1.4",
        "generate.feather": str(tmp_path / "dubkit.toml"),
    }
    monkeypatch.setenv("DUBKIT_FACES__WICH", "all")
    with pytest.raises(ConfigError, match=r"faces\.wich \(\$DUBKIT_FACES__WICH\).*faces\.which"):
        load_config()


@pytest.mark.parametrize(
    "text",
    ["[faces]\ndetector = 'os:system'\n", "extends = 'mine'\n"],
)
def test_a_file_beside_a_film_loads_no_code(tmp_path: Path, text: str) -> None:
    write(tmp_path / "mine.toml", "[speech]\naligner = 'own:Aligner'\n")
    write(tmp_path / "dubkit.toml", text)
    with pytest.raises(ConfigError, match="engine of one's own") as caught:
        load_config(folder=tmp_path)
    assert "--preset" in str(caught.value.hint)


def test_engines_that_a_project_may_not_name_are_all_there_are() -> None:
    fields = {
        f"{section}.{key}"
        for section, outer in Config.model_fields.items()
        for key, field in getattr(outer.annotation, "model_fields", {}).items()
        if "module:Class" in (field.description or "")
    }
    assert fields == set(ENGINE_SETTINGS)


def test_an_unknown_preset_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="'brodcast'") as caught:
        find_preset("brodcast")
    assert "balanced, broadcast, lossless, preview" in str(caught.value.hint)


def test_a_missing_preset_file_is_named() -> None:
    with pytest.raises(ConfigError, match=r"there is no preset file /no/such\.toml"):
        find_preset("/no/such.toml")


@pytest.mark.parametrize("content", ["[faces\n", "\xff\xfe"])
def test_a_file_that_is_no_toml_is_refused_with_its_name(tmp_path: Path, content: str) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_bytes(content.encode("latin-1"))
    with pytest.raises(ConfigError, match=r"mine\.toml is not valid TOML"):
        load_config([str(mine)])


def test_presets_in_a_circle_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("extends = 'b'\n")
    (tmp_path / "b.toml").write_text("extends = ['a']\n")
    with pytest.raises(ConfigError, match="a -> b -> a"):
        load_config([str(tmp_path / "a.toml")])
    (tmp_path / "c.toml").write_text("extends = 3\n")
    with pytest.raises(ConfigError, match="extends must be"):
        load_config([str(tmp_path / "c.toml")])


def test_a_preset_may_extend_a_shipped_one_of_its_own_name(tmp_path: Path) -> None:
    mine = tmp_path / "preview.toml"
    mine.write_text("extends = 'preview'\n[generate]\nquality = 30\n")
    config = load_config([str(mine)])
    assert (config.generate.quality, config.generate.speed) == (30, "ultrafast")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("faces.which=all", "all"),
        ("faces.which='all'", "all"),
        ("generate.quality=12.5", 12.5),
        ("generate.references=12", 12),
        ("stitch.keep_streams=false", False),
        ("shots.threshold=none", None),
        ("faces.detector=my_engines.mod:Fast", "my_engines.mod:Fast"),
        ("a.b=x=y", "x=y"),
        ("a.b=", ""),
    ],
)
def test_a_setting_is_toml_or_a_bare_string(text: str, value: object) -> None:
    section, key = text.partition("=")[0].split(".")
    assert parse_setting(text) == {section: {key: value}}


@pytest.mark.parametrize("text", ["", "faces", "faces=1", "faces.which", "a..c=1", ".a=1", "a.=1"])
def test_a_setting_without_section_key_and_value_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="cannot read the setting"):
        parse_setting(text)


tables = st.recursive(
    st.integers() | st.text(max_size=3),
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)
layers = st.lists(
    st.dictionaries(st.sampled_from("abc"), tables, max_size=3).map(lambda t: Layer("x", t)),
    max_size=4,
)


@settings(deadline=None)
@given(layers, layers)
def test_merging_in_two_steps_is_merging_at_once(left: list[Layer], right: list[Layer]) -> None:
    assert merge([Layer("x", merge(left)), *right]) == merge([*left, *right])


@settings(deadline=None)
@given(layers)
def test_merging_changes_none_of_its_layers(given_layers: list[Layer]) -> None:
    before = repr(given_layers)
    merge(given_layers)
    assert repr(given_layers) == before


def test_a_training_has_a_section_of_its_own() -> None:
    assert load_config([], ["train.tc.steps=5"]).train.tc.steps == 5
    assert load_config([], ["train.tc.steps=5"]).train.sc == Config().train.sc
    with pytest.raises(ConfigError, match=r"train\.tc\.step .*did you mean train\.tc\.steps"):
        load_config([], ["train.tc.step=5"])


@pytest.mark.parametrize(
    ("setting", "way_out"),
    [
        ("link.enabled=true", "link .* was removed: .*delete it"),
        ('gate.verdict="approve"', "gate.verdict .* was removed: .* with --verdicts"),
        ("train.tc.deaf=0.5", "train.tc.deaf .* is called train.tc.sound_dropout now"),
        ("train.prepare.min_sharpness=0.5", "is called train.prepare.min_focus now"),
        ("train.tc.course=2", "train.tc.course .* is called train.tc.correlation now"),
        ("train.landmarks.steps=9", "train.landmarks .* was removed .*delete it"),
        ('gate.note="fine"', "gate.note .* was removed: .* with --verdicts"),
    ],
)
def test_a_setting_of_an_older_version_is_refused_with_what_to_do(
    tmp_path: Path, setting: str, way_out: str
) -> None:
    with pytest.raises(ConfigError, match=way_out):
        load_config([], [setting])
    path, _, value = setting.partition("=")
    section, _, name = path.rpartition(".")
    (tmp_path / "old.toml").write_text(f"[{section}]\n{name} = {value}\n")
    with pytest.raises(ConfigError, match=rf"old\.toml.*{way_out.split(' ')[-1]}"):
        load_config([str(tmp_path / "old.toml")])
