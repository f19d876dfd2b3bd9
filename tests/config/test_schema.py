"""The schema of the config: one place for each default, and the JSON schema for editors."""

import json

import jsonschema
import pytest
import yaml
from helpers.config import read_config
from helpers.workflow import ROOT

from segunc.config.reference import reference
from segunc.config.schema import Config, Strategy, Strict, overlay_schema, schema

RAW = read_config()
NAMES = ("grid", "backbone", "training", "statistics", "active", "figures")
SECTIONS = {
    "": (Config, RAW),
    **{name: (Config.model_fields[name].annotation, RAW[name]) for name in NAMES},
    **{f"strategies.{name}": (Strategy, entry) for name, entry in RAW["strategies"].items()},
}


@pytest.mark.parametrize("section", SECTIONS)
def test_a_key_of_config_yaml_has_no_second_default(section: str) -> None:
    """A default that config.yaml overrides could never apply."""
    model, values = SECTIONS[section]
    assert model is not None and issubclass(model, Strict)
    required = {name for name, field in model.model_fields.items() if field.is_required()}
    assert required == set(values)


def test_no_section_is_left_out() -> None:
    annotations = {name: field.annotation for name, field in Config.model_fields.items()}
    assert {name for name, kind in annotations.items() if isinstance(kind, type) and issubclass(kind, Strict)} == set(
        NAMES
    )


def test_schema_for_editors_is_in_step() -> None:
    stored = (ROOT / "workflow/schemas/config.schema.json").read_text()
    hint = "run: python -m segunc.config.schema > workflow/schemas/config.schema.json"
    assert json.loads(stored) == schema(), hint


def test_schema_for_editors_knows_the_settings_of_a_run() -> None:
    assert schema()["properties"]["device"]["enum"] == ["auto", "cpu", "cuda"]
    assert schema()["additionalProperties"] is False


def test_presets_follow_the_schema_of_overlays() -> None:
    path = ROOT / "workflow/schemas/overlay.schema.json"
    assert json.loads(path.read_text()) == overlay_schema(), "run: python -m segunc.config.schema overlay > the file"
    for preset in (ROOT / "workflow/presets").glob("*.yaml"):
        assert "schemas/overlay.schema.json" in preset.read_text().splitlines()[0], preset
        jsonschema.validate(yaml.safe_load(preset.read_text()), overlay_schema())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"training": {"stepz": 1}}, overlay_schema())


def test_the_reference_is_that_of_the_schema() -> None:
    text = (ROOT / "docs/config.md").read_text(encoding="utf-8")
    assert text == reference(), "run: python -m segunc.config.reference > docs/config.md"
    for key in ("learning_rate", "active", "members", "dropout", "spacing_mm", "width_mm"):
        assert f"| `{key}` | " in text
