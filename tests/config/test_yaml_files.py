"""What YAML changes or drops without a word, in files and in the arguments of --config."""

from pathlib import Path

import pytest
from helpers.workflow import ROOT

from segunc.config.load import ConfigError
from segunc.config.yaml_files import check, in_order

DEEP = "[" * 20_000


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "grid: {seeds: [1]}\ndraws: 16\ngrid: {models: [unet]}\n",
            "grid is given twice in FILE (lines 1 and 3); remove",
        ),
        ("training:\n  steps: 5\n  'steps': 6\n", "training.steps is given twice in FILE (lines 2 and 3); remove one."),
        ("a: &a {b: 1}\nc: {<<: *a, <<: *a}\n", "c.<< is given twice in FILE (lines 2 and 2); remove one."),
        ("- {x: 1, x: 2}\n", "0.x is given twice in FILE (lines 1 and 1); remove one."),
        ('{"grid": {"seeds": [1], "seeds": [2]}}', "seeds is given twice in FILE; remove one."),
        ('{\n\t"draws": 16,\n\t"draws": 32\n}', "draws is given twice in FILE; remove one."),
        (
            "grid:\n  seeds: [7, 010]\n",
            "grid.seeds.1 in FILE (line 2) is 010, which YAML reads as 8; write it as a dec",
        ),
        ("draws: -0_17\n", "draws in FILE (line 1) is -0_17, which YAML reads as -15; write it as a decimal number"),
        (
            "draws: 1:30\n",
            "draws in FILE (line 1) is 1:30, which YAML reads as 90; write it as a decimal number, or in",
        ),
        ("draws: 1:30.5\n", "draws in FILE (line 1) is 1:30.5, which YAML reads as 90.5; write it as a decimal number"),
        *(
            (
                f"models:\n  {key}: {{label: x}}\n",
                f"models.{key} in FILE (line 2) is not read as text; put it in quotes.",
            )
            for key in ("true", "on", "No", "null", "~", "12", "1.5", ".inf", "2024-01-01", "1:30")
        ),
        (
            "grid: &a {seeds: *a}\n",
            "grid.seeds in FILE (line 1) is an alias of a value that contains it; write the value",
        ),
        (
            "grid: &a [1, [*a]]\n",
            "grid.1.0 in FILE (line 1) is an alias of a value that contains it; write the value out.",
        ),
        (DEEP, "FILE has values within values within values, too many to read; remove what is not config."),
        (f"x: {DEEP}", "FILE has values within values within values, too many to read; remove what is not config."),
        ("a: [1\nb: 2\n", "config file FILE is not valid YAML (line 2: did not find expected ',' or ']')"),
        (
            "a:\n\tb: 2\n",
            "config file FILE is not valid YAML (line 2: found character '\\t' that cannot start any token)",
        ),
        ("a: 1\n---\nb: 2\n", "config file FILE is not valid YAML (line 2: but found another document); correct it."),
        ("a: \0\n", "config file FILE is not valid YAML (unacceptable character #x0000"),
        ("# ü\nlabel: Grün\n".encode("latin-1"), "config file FILE is not UTF-8 text (line 1); save it in UTF-8."),
        ("draws: 16\nlabel: Grün\n".encode("cp1252"), "config file FILE is not UTF-8 text (line 2); save it in UTF-8."),
        ("draws: 16\n".encode("utf-16"), "config file FILE is not UTF-8 text (line 1); save it in UTF-8."),
    ],
)
def test_a_file_that_yaml_would_change(tmp_path: Path, text: str | bytes, sentence: str) -> None:
    file = tmp_path / "overlay.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError) as error:
        check([ROOT / "config.yaml", file])
    if sentence.startswith("config file") and "did not find" in sentence:
        sentence = sentence.partition("did not")[0]
    assert sentence.replace("FILE", str(file)) in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_every_fault_is_named_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("draws: 010\ndraws: 1:30\n")
    (tmp_path / "b.yaml").write_text("on: 1\n")
    with pytest.raises(ConfigError) as error:
        check([tmp_path / "a.yaml", tmp_path / "b.yaml"])
    assert len(str(error.value).splitlines()) == 4


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# nothing\n",
        "a: &a {x: 1}\nb: {<<: *a, x: 2}\nc: *a\n",
        "label: '1:30'\nother: \"010\"\n'true': 1\n",
        "a: [0, 0.5, 0.0, 1e-3, -0, +5, 1_000, 0x1F, .inf, 09, true, on, ~, 2024-01-01, https://x:8]\n",
        '{"a": 1e-3, "b": {"a": "1:30"}, "true": null}',
        '{\n\t"a": "\\ud83d\\ude00"\n}',
        "\ufefflabel: Grün 肺\n",
        # Each level is nine times the one before.
        "a: &a0 [1]\n" + "".join(f"b{i}: &a{i + 1} [{', '.join([f'*a{i}'] * 9)}]\n" for i in range(20)),
    ],
)
def test_what_is_read_as_it_is_written(tmp_path: Path, text: str) -> None:
    (tmp_path / "overlay.yaml").write_text(text, encoding="utf-8")
    check([tmp_path / "overlay.yaml", ROOT / "config.yaml", *(ROOT / "workflow/presets").glob("*.yaml")])


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    sentence = r"^config file .*none.yaml cannot be read \(No such file or directory\); correct its path"
    with pytest.raises(ConfigError, match=sentence):
        check([tmp_path / "none.yaml"])
    with pytest.raises(ConfigError, match=r"cannot be read \(Is a directory\); correct its path"):
        check([tmp_path])


@pytest.mark.parametrize(
    ("argument", "sentence"),
    [
        (
            "grid={seeds: [1], seeds: [2]}",
            "seeds is given twice in --config grid={seeds: [1], seeds: [2]} (lines 1 and 1)",
        ),
        ("grid={models: {x: 1, x: 2}}", "models.x is given twice in --config"),
        ("x=&a [*a]", "is an alias of a value that contains it"),
    ],
)
def test_arguments(argument: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as error:
        check([], ["draws=010", argument])
    assert sentence in str(error.value)


def test_a_key_twice_among_the_arguments() -> None:
    """The first value would be lost; of two groups, what the second one repeats."""
    arguments = ["draws=16", "device=cpu", "draws=32", "grid={seeds: [0]}", "grid={models: [unet]}", "draws="]
    with pytest.raises(ConfigError) as error:
        check([], arguments)
    assert str(error.value).splitlines() == [
        "--config has draws twice; remove one.",
        "--config has grid twice; remove one.",
    ]
    check([], ["draws=16", "label=draws=16"])


def test_arguments_are_text_for_snakemake() -> None:
    """It reads 010 as 10 there, and 1:30 and true within braces as text."""
    check([], ["draws=010", "x=1:30", "grid={seeds: [010, 1:30], true: 1}", "y=", "label=[", "z='a: b: c'"])


def test_overlays_keep_the_order_of_the_catalogues(tmp_path):
    """As Snakemake merges them: the overlay, then what config.yaml adds."""
    (tmp_path / "config.yaml").write_text("models: {a: {x: 1}, b: {x: 2}}\nstrategies: {s: {}}\n")
    merged = {"models": {"c": {"x": 3}, "b": {"x": 4}, "a": {"x": 1}}, "strategies": None, "grid": 1}
    found = in_order(merged, tmp_path / "config.yaml")
    assert found == merged and list(found["models"]) == ["a", "b", "c"]
