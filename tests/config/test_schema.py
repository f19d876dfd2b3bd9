"""The schema of the config: one place for each default, and the JSON schema for editors."""

import json

import pytest
from helpers.config import read_config
from helpers.workflow import ROOT

from segunc.config.schema import Config, Strategy, Strict, schema

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
