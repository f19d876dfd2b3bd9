"""What differs between a job's record and the current settings and code, in words and in records."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from segunc.runtime.code_digest import PACKAGE, source_of


def accepted_edit(before: Mapping[str, str], now: Mapping[str, str], when: datetime) -> dict[str, Any]:
    """What a record says about an accepted edit: when, and the previous digests of the modules that differed."""
    code = {module: before.get(module, "not used") for module in sorted(_different(before, now))}
    return {"when": when.isoformat(timespec="seconds"), "code": code}


def changed_settings(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """One phrase per setting that differs: `setting training.learning_rate changed from 0.003 to 0.001`."""
    old, new = _flat(before), _flat(now)
    phrases = []
    for key in sorted(_different(old, new)):
        if raw := _raw_data(key):
            phrases.append(f"{raw} {'is new' if key not in old else 'was removed' if key not in new else 'changed'}")
        elif key not in old:
            phrases.append(f"setting {key} = {_short(new[key])} is new")
        elif key not in new:
            phrases.append(f"setting {key} = {_short(old[key])} was removed")
        else:
            phrases.append(f"setting {key} changed from {_short(old[key])} to {_short(new[key])}")
    return phrases


def changed_code(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """One phrase per source file that differs: `src/segunc/metrics/ged.py changed`."""
    phrases = []
    for module in sorted(_different(before, now)):
        file = _file(module)
        if module not in before:
            phrases.append(f"{file} is now imported")
        elif module not in now:
            phrases.append(f"{file} is no longer imported")
        else:
            phrases.append(f"{file} changed")
    return phrases


def earlier_settings(kept: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """One phrase per setting of a kept result that differs: `made with training.steps = 9 (now 6)`."""
    old, new = _flat(kept), _flat(now)
    phrases = []
    for key in sorted(_different(old, new)):
        if raw := _raw_data(key):
            phrases.append(f"{raw} was another one")
        elif key not in old:
            phrases.append(f"made without {key} (now {_short(new[key])})")
        else:
            today = f"now {_short(new[key])}" if key in new else "now without"
            phrases.append(f"made with {key} = {_short(old[key])} ({today})")
    return phrases


def earlier_code(kept: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """One phrase per source file of a kept result that differs: `src/segunc/metrics/ged.py was another one`."""
    phrases = []
    for module in sorted(_different(kept, now)):
        how = "not imported" if module not in kept else "imported" if module not in now else "another one"
        phrases.append(f"{_file(module)} was {how}")
    return phrases


def _file(module: str) -> str:
    path = source_of(module)
    return f"src/segunc/{path.relative_to(PACKAGE).as_posix()}" if path else f"module {module}"


def _raw_data(key: str) -> str:
    """What to call a setting whose value is a digest of raw data; empty for other settings."""
    return f"the raw data '{key.removeprefix('raw.')}'" if key.startswith("raw.") else ""


def _different(before: Mapping[str, Any], now: Mapping[str, Any]) -> set[str]:
    return {key for key in {*before, *now} if key not in before or key not in now or before[key] != now[key]}


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings by dotted key; an empty group stands for itself."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict) and value:
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
