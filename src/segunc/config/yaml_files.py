"""What YAML changes or drops before the config is validated, found in the text of config files.

Of two equal keys the last one wins. 010 is octal and 1:30 is sexagesimal. The key `on` is true. An alias may contain
itself. Snakemake merges files without a word about any of these.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from segunc.config.load import ConfigError

TEXT, MERGE, INTEGER, FLOAT = (f"tag:yaml.org,2002:{name}" for name in ("str", "merge", "int", "float"))
MISREAD = re.compile(r"[-+]?0[0-7_]+|.*:.*")
"""Integers and floats that are not decimal: octal, or sexagesimal."""
TOO_DEEP = "{} has values within values within values, too many to read; remove what is not config."


def check(files: Iterable[Path], arguments: Sequence[str] = ()) -> None:
    """Checks config files (YAML or JSON) and the `key=value` arguments of --config, whose values may be YAML.

    Raises ConfigError, one sentence per fault: a file that cannot be read as UTF-8 or parsed, a key that is given twice
    or is no text, a number that is not decimal, a value that contains itself.
    """
    faults = [fault for file in files for fault in _in_file(file)]
    keys = Counter(argument.partition("=")[0] for argument in arguments)
    faults += [f"--config has {key} twice; remove one." for key, count in keys.items() if count > 1]
    for argument in arguments:
        # Snakemake reads these numbers and keys as text, so only their structure can be wrong.
        _, _, value = argument.partition("=")
        with suppress(yaml.YAMLError):
            faults += _in_yaml(value.strip("'\""), f"--config {argument}", yaml.BaseLoader)
    if faults:
        raise ConfigError("\n".join(faults))


def in_order(config: dict[str, Any], file: Path) -> dict[str, Any]:
    """The merged config with the entries of its catalogues in the order of config.yaml, then those of overlays.

    Snakemake puts the entries that an overlay changes first, but how an entry looks in figures goes by its place.
    """
    base = yaml.safe_load(file.read_text(encoding="utf-8"))
    result = dict(config)
    for family in ("models", "strategies"):
        own, first = config.get(family), base.get(family)
        if isinstance(own, dict) and isinstance(first, dict):
            result[family] = {name: own[name] for name in first if name in own} | own
    return result


def _in_file(file: Path) -> list[str]:
    try:
        text = file.read_bytes().decode()
    except OSError as error:
        return [f"config file {file} cannot be read ({error.strerror}); correct its path or make it readable."]
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        return [f"config file {file} is not UTF-8 text (line {line}); save it in UTF-8."]
    twice: list[str] = []

    def note(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        twice.extend(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        return dict(pairs)

    try:
        # As Snakemake does, JSON first: it may be indented by tabs, unlike YAML.
        json.loads(text, object_pairs_hook=note)
    except ValueError:
        pass
    except RecursionError:
        return [TOO_DEEP.format(file)]
    else:
        return [f"config key {key} is given twice in {file}; remove one." for key in twice]
    try:
        return _in_yaml(text, str(file), yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
        reason = f"line {mark.line + 1}: {problem}" if mark and problem else " ".join(str(error).split())
        return [f"config file {file} is not valid YAML ({reason}); correct it."]


def _in_yaml(text: str, source: str, loader: Any) -> list[str]:
    try:
        root = yaml.compose(text, Loader=loader)
        return [] if root is None else list(_faults(root, "", source, set(), set()))
    except RecursionError:
        return [TOO_DEEP.format(source)]


def _faults(node: yaml.Node, key: str, source: str, above: set[int], seen: set[int]) -> Iterator[str]:
    """above: the nodes around this one; seen: those that need no second visit, as an alias may occur many times."""
    where = f"in {source} (line {node.start_mark.line + 1})"
    if id(node) in above:
        yield f"config key {key} {where} is an alias of a value that contains it; write the value out."
    if id(node) in seen:
        return
    seen.add(id(node))
    above = {*above, id(node)}
    if isinstance(node, yaml.ScalarNode):
        if node.tag in (INTEGER, FLOAT) and MISREAD.fullmatch(node.value):
            yield (
                f"config key {key} {where} is {node.value}, which YAML reads as {yaml.safe_load(node.value)}; "
                "write it as a decimal number, or in quotes if it is text."
            )
    elif isinstance(node, yaml.SequenceNode):
        for position, item in enumerate(node.value):
            yield from _faults(item, f"{key}.{position}".lstrip("."), source, above, seen)
    else:
        lines: dict[str, int] = {}
        for name, value in node.value:
            line = name.start_mark.line + 1
            inner = f"{key}.{name.value}".lstrip(".")
            if name.tag not in (TEXT, MERGE):
                yield f"config key {inner} in {source} (line {line}) is not read as text; put it in quotes."
            elif name.value in lines:
                yield (
                    f"config key {inner} is given twice in {source} (lines {lines[name.value]} and {line}); remove one."
                )
            lines[name.value] = line
            yield from _faults(value, inner, source, above, seen)
