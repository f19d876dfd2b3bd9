"""The repository's config.yaml, and variants of it."""

import copy

import yaml

from helpers.workflow import ROOT


def read_config() -> dict:
    return yaml.safe_load((ROOT / "config.yaml").read_text())


def changed(raw: dict, key: str, value: object) -> dict:
    """A copy with another value of the dotted key."""
    result = copy.deepcopy(raw)
    *path, last = key.split(".")
    target = result
    for part in path:
        target = target[part]
    target[last] = value
    return result


def merged(raw: dict, overlay: dict) -> dict:
    """What Snakemake makes of config.yaml and --configfile."""
    result = dict(raw)
    for key, value in overlay.items():
        result[key] = merged(raw[key], value) if isinstance(value, dict) and key in raw else value
    return result
