"""`docs/config.md`: every key of the config, from its JSON schema and `config.yaml`.

`python -m segunc.config.reference > docs/config.md` writes it.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from segunc.catalogue.options import available, options_of
from segunc.config.schema import FORMAT, METHOD, STRATEGY, schema

CONFIG = Path(__file__).parents[3] / "config.yaml"
HEAD = """# Config reference

Every key of `config.yaml`, and so of overlays (`--configfile`),
which replace single keys, and lists as a whole.
This page is made from `src/segunc/config/schema.py`.
Editors that know YAML schemas complete keys and mark mistakes:
`workflow/schemas/config.schema.json`, and `overlay.schema.json` for overlays.
An unknown key, a value of another type or out of range ends in one sentence that names the key.

The column *default* has what `config.yaml` sets, or what holds if it does not; – is none.
"""
ENTRIES = {
    "datasets": ("Dataset", FORMAT, "format"),
    "models": ("Model", METHOD, "method"),
    "strategies": ("Strategy", STRATEGY, "method"),
}
"""Catalogues: the class of an entry, the family of files that read its options, and the key that names a file."""


def reference() -> str:
    """The page as Markdown."""
    whole, given = schema(), yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    lines = [HEAD, "## Top level", "", *_table(whole, whole, given)]
    shown = {"Missing"}
    for key, part in whole["properties"].items():
        if name := _class(part):
            lines += ["", f"## `{key}`", "", *_section(whole, name, given.get(key, {}), shown)]
    for key, (name, family, role) in ENTRIES.items():
        lines += ["", f"## `{key}.<id>`", "", *_section(whole, name, {}, shown)]
        for file in available(family[0]):
            own = options_of(family[0], file, family[1]).model_json_schema()
            if own["properties"]:
                lines += ["", f"### `options` with `{role}: {file}`", "", *_table(own, own, {})]
    for name, part in whole["$defs"].items():
        if name not in shown:
            lines += ["", f"## {name}", "", *_lines(part), "", *_table(part, whole, {})]
    return "\n".join(lines) + "\n"


def _section(whole: Mapping[str, Any], name: str, given: Mapping[str, Any], shown: set[str]) -> Iterator[str]:
    shown.add(name)
    part = whole["$defs"][name]
    yield from [*_lines(part), "", *_table(part, whole, given)]


def _lines(part: Mapping[str, Any]) -> list[str]:
    """The description, a line per sentence."""
    return _sentence(part).replace(". ", ".\n").split("\n")


def _sentence(part: Mapping[str, Any]) -> str:
    return " ".join(part.get("description", "").split())


def _table(part: Mapping[str, Any], whole: Mapping[str, Any], given: Mapping[str, Any]) -> Iterator[str]:
    yield "| key | values | default | meaning |"
    yield "|---|---|---|---|"
    for key, of_key in part["properties"].items():
        if key != "missing":  # The workflow sets it.
            default = given.get(key, of_key.get("default"))
            text = "–" if default in (None, "", {}, []) or isinstance(default, dict) else f"`{json.dumps(default)}`"
            yield f"| `{key}` | {_values(of_key, whole)} | {text} | {_sentence(of_key)} |"


def _class(part: Mapping[str, Any]) -> str:
    """The name of the class that a value is of; empty if it is of none."""
    return part.get("$ref", "").rpartition("/")[2]


def _values(part: Mapping[str, Any], whole: Mapping[str, Any]) -> str:
    """What a value may be, in words."""
    if name := _class(part):
        catalogues = {entry: f"{key}id" for key, (entry, *_) in ENTRIES.items()}
        return f"[{name}](#{catalogues.get(name, name.lower())})"
    if "anyOf" in part:
        return " or ".join(dict.fromkeys(_values(one, whole) for one in part["anyOf"]))
    if "enum" in part:
        return ", ".join(f"`{value}`" for value in part["enum"])
    if "const" in part:
        return f"`{part['const']}`"
    kind = part.get("type", "any")
    if kind == "array":
        return f"list: {_values(part['items'], whole)}" if "items" in part else "list"
    if kind == "object":
        entry = next(iter(part.get("patternProperties", {}).values()), part.get("additionalProperties"))
        return f"`<id>:` {_values(entry, whole)}" if isinstance(entry, dict) and entry else "mapping"
    word = {"string": "text", "integer": "integer", "number": "number", "boolean": "`true`, `false`", "null": "`null`"}
    bounds = {"exclusiveMinimum": "above", "minimum": "at least", "exclusiveMaximum": "below", "maximum": "at most"}
    # Bounds of integers that only keep them representable say nothing to a reader.
    limits = [f"{text} {part[bound]:g}" for bound, text in bounds.items() if abs(part.get(bound, 2**31)) < 2**31]
    return " ".join([word.get(kind, str(kind)), " and ".join(limits)]).strip()


if __name__ == "__main__":
    print(reference(), end="")
