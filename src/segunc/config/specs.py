"""Specs: the settings that a job's results depend on, as JSON text. Each rule names its function here.

A spec contains every setting that the result depends on and nothing else: no label in a training, no device, no thread
count. So another label or another machine reruns no training. The types that stages read are beside the code
that uses them (`segunc.learning.train_spec`).
"""

import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from segunc import cells
from segunc.catalogue.options import constant_of, options_of, raw_options
from segunc.cells import Cell
from segunc.config.acquisition import acquisition
from segunc.config.load import training_of
from segunc.config.schema import FORMAT, METHOD, STRATEGY, Config, ModelOverrides, Training


def prepare(config: Config, cell: Cell, raw: Mapping[str, str]) -> str:
    """Raw format, its options, geometry, split, and the raw data itself: a digest by option name."""
    entry = config.datasets[cell.dataset]
    options = options_of(FORMAT[0], entry.format, FORMAT[1])(**entry.options)
    values = options.model_dump(exclude=set(raw_options(type(options))))
    return _json(format=entry.format, options=values, size=entry.size, resize=entry.resize, split=entry.split, raw=raw)


def train(config: Config, cell: Cell) -> str:
    """Method, options, backbone, training and seed."""
    return _train(config, cell, training_of(config, cell.dataset, cell.model))


def active_train(config: Config, cell: Cell) -> str:
    """The same for a round's training, which has no validation; all rounds and strategies of a seed share it."""
    training = training_of(config, cell.dataset, cell.model, active=True)
    return _train(config, cell, training.model_copy(update={"validate_every": None, "patience": None}))


def _train(config: Config, cell: Cell, training: Training) -> str:
    entry = config.models[cell.model]
    override = entry.per_dataset.get(cell.dataset, ModelOverrides())
    options = options_of(METHOD[0], entry.method, METHOD[1])(**{**entry.options, **override.options})
    return _json(method=entry.method, options=options, backbone=config.backbone, training=training, seed=cell.seed)


def sample(config: Config, cell: Cell) -> str:
    """Samples per image, and the seed."""
    return _json(draws=config.draws, seed=cell.seed)


def active_start(config: Config, cell: Cell) -> str:
    """Size of the initial labelled set, and the seed."""
    return _json(start=config.active.start, seed=cell.seed)


def active_acquire(config: Config, cell: Cell) -> str:
    """Strategy, its options, images per round, seed and round; `draws` if the strategy needs uncertainty."""
    entry = config.strategies[cell.strategy]
    options = options_of(STRATEGY[0], entry.method, STRATEGY[1])(**entry.options)
    spec = {"method": entry.method, "options": options, "add": config.active.add}
    if constant_of(STRATEGY[0], entry.method, "NEEDS") == "uncertainty":
        spec["draws"] = config.draws
    return _json(**spec, seed=cell.seed, round=cell.round)


def tabulate(config: Config, cell: Cell) -> str:
    """Statistics, the cells in the order of the tables, whether they include `baseline_threshold`, what is missing."""
    grid = config.grid
    scored = {"datasets": grid.datasets, "models": grid.models, "seeds": grid.seeds}
    missing = [_missing(config, step, ("step", "dataset", "model", "seed")) for step in cells.scored_in(config)]
    return _json(
        statistics=config.statistics,
        **scored,
        threshold=cells.plain_unet(config) is not None,
        missing=list(filter(None, missing)),
    )


def active_tabulate(config: Config, cell: Cell) -> str:
    """The same for active learning."""
    active = config.active
    scored = {"datasets": active.datasets, "models": active.models, "strategies": active.strategies}
    names = ("dataset", "model", "strategy", "seed", "round")
    missing = [_missing(config, ("active_evaluate", round_), names) for round_ in cells.rounds_in(active)]
    return _json(
        confidence=config.statistics.confidence,
        **scored,
        seeds=active.seeds,
        rounds=active.rounds,
        missing=list(filter(None, missing)),
    )


def _missing(config: Config, step: cells.Step, names: tuple[str, ...]) -> dict[str, Any]:
    """Cell and reason of a job whose results are missing; empty if they are not."""
    reason = config.reasons.get(step)
    facts = {"step": step[0], **step[1]._asdict(), "why": reason}
    return {name: facts[name] for name in (*names, "why")} if reason else {}


def figure(config: Config, cell: Cell) -> str:
    """A figure of the main grid's tables: labels by id, in the grid's order."""
    return _text({"labels": {**_labels(config, "datasets"), **_labels(config, "models")}})


def contact_sheet(config: Config, cell: Cell) -> str:
    """A figure of one dataset's store: its label."""
    return _text({"labels": {cell.dataset: config.datasets[cell.dataset].label}})


def figure_of_samples(config: Config, cell: Cell) -> str:
    """A figure of one dataset's samples: labels, `models` with samples of the first seed, and the `missing` others."""
    labels = {cell.dataset: config.datasets[cell.dataset].label, **_labels(config, "models")}
    shown = {
        model: (cells.SAMPLES, cell._replace(model=model, seed=config.grid.seeds[0])) for model in config.grid.models
    }
    return _text({"labels": labels, **_present_and_missing(config, "models", shown)})


def figure_of_active_learning(config: Config, cell: Cell) -> str:
    """A figure of active learning: labels of `datasets`, `models`, `strategies`; the `confidence` of bands."""
    labels = {family: _labels(config, family, "active") for family in ("datasets", "models", "strategies")}
    return _text({"labels": labels, "confidence": config.statistics.confidence})


def active_picks(config: Config, cell: Cell) -> str:
    """A figure of the first model's and seed's picks: labels, `strategies` with picks, the `missing` others."""
    labels = {
        "datasets": {cell.dataset: config.datasets[cell.dataset].label},
        **{family: _labels(config, family, "active") for family in ("models", "strategies")},
    }
    active = config.active
    shown = {name: acquisition(config, picked) for name, picked in cells.first_picks(active, cell.dataset).items()}
    present = _present_and_missing(config, "strategies", shown)
    return _text({"labels": labels, "model": active.models[0], "seed": active.seeds[0], **present})


def _present_and_missing(config: Config, name: str, steps: Mapping[str, cells.Step]) -> dict[str, list[str]]:
    missing = [key for key, step in steps.items() if step in config.reasons]
    return {name: [key for key in steps if key not in missing], "missing": missing}


def _labels(config: Config, family: str, owner: str = "grid") -> dict[str, str]:
    catalogue = getattr(config, family)
    return {name: catalogue[name].label for name in getattr(getattr(config, owner), family)}


def _json(**values: Any) -> str:
    plain = {k: v.model_dump(mode="json") if isinstance(v, BaseModel) else v for k, v in values.items()}
    return _text(plain, sort_keys=True)


def _text(values: Mapping[str, Any], sort_keys: bool = False) -> str:
    # Snakemake's report puts params into a script, which `</script>` would end.
    return json.dumps(values, sort_keys=sort_keys).replace("<", r"\u003c")
