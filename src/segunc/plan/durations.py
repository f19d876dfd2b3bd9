"""How long each job takes and what it leaves on the disk: assumed, and scaled by what earlier runs took."""

import csv
import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from segunc import cells
from segunc.cells import Cell
from segunc.config import specs
from segunc.config.schema import Config
from segunc.learning.train_spec import SampleSpec
from segunc.plan import costs
from segunc.runtime import records
from segunc.workflow.snakemake_internals import Parsed

TRAINED_BY = {
    "train": "train",
    "sample": "train",
    "active_train": "active_train",
    "active_sample": "active_train",
    "active_acquire_with_model": "active_train",
}
"""The rules that run a network, on a GPU if there is one, and the rule that trains it."""
Datasets = Mapping[str, costs.DatasetSize]


def datasets_of(of: Parsed, jobs: Iterable[Cell]) -> Datasets:
    """The images of each dataset of the grid and of the jobs: counted where its store is there, expected elsewhere."""
    of_jobs = {cell.dataset: None for cell in jobs if cell.dataset}
    names = dict.fromkeys([*of.config.grid.datasets, *of.config.active.datasets, *of_jobs])
    return {name: costs.data_of(of.config.datasets[name], store_of(of, name)) for name in names}


def store_of(of: Parsed, dataset: str) -> Path:
    """The file of a dataset's store."""
    return of.folder / Cell(dataset).fill(of.rules.pattern("prepare", "store"))


def seconds(of: Parsed, rule: str, cell: Cell, data: Datasets, gpu: bool, spec: str, steps: int | None) -> float:
    """What a job is assumed to take. `spec` is that of its network's training, whose `steps` may be known.

    A rule that is not known here counts as a second.
    """
    config = of.config
    if rule in TRAINED_BY:
        images, network = data[cell.dataset], json.loads(spec)
        if rule in TRAINED_BY.values():
            work = costs.train_work(network, images, rule == "active_train", steps)
        elif rule == "active_acquire_with_model":
            draws = json.loads(specs.active_acquire(config, cell)).get("draws", 0)
            work = costs.sample_work(network, images, images.train, draws)
        else:
            sampled: SampleSpec = json.loads(specs.sample(config, cell))
            count = images.test + images.val
            work = costs.sample_work(network, images, count, sampled["draws"], sampled.get("wrapper"))
        on_device = work @ costs.GPU if gpu else work @ costs.CPU / of.rules.threads(rule)
        return costs.STARTUP["network"] + float(on_device)
    if cells.is_figure(rule):
        return costs.STARTUP["figure"]
    return costs.STARTUP["other"] + _seconds_on_cpu(config, rule, cell, data)


def _seconds_on_cpu(config: Config, rule: str, cell: Cell, data: Datasets) -> float:
    if rule == "prepare":
        return data[cell.dataset].seconds
    if rule in costs.PER_IMAGE:
        images = data[cell.dataset]
        return costs.PER_IMAGE[rule] * images.test * (images.size / 64) ** 2
    if rule == "tabulate":
        return costs.PER_ROW[rule] * sum(data[of.dataset].test for _, of in cells.scored(config))
    if rule == cells.REPORT:
        return costs.PER_ROW[rule] * sum(data[name].test for name in config.grid.datasets) * len(config.grid.models)
    if rule == "active_tabulate":
        return costs.PER_ROW[rule] * sum(data[of.dataset].test for of in cells.rounds(config.active))
    return 0.0


def network_spec(config: Config, rule: str, cell: Cell) -> str:
    """The spec of the training behind a job that runs a network; empty for others."""
    if rule not in TRAINED_BY:
        return ""
    trained = cells.training_behind(config, Cell(cell.dataset, cell.model, seed=0))
    return getattr(specs, TRAINED_BY[rule])(config, trained)


def bytes_of(config: Config, rule: str, cell: Cell, data: Datasets, spec: str) -> float:
    """What a job leaves on the disk."""
    images = data.get(cell.dataset)
    results = 0.0
    if rule in TRAINED_BY.values() and images:
        results = costs.weights_bytes(json.loads(spec), images)
    elif rule == "prepare" and images:
        results = images.bytes
    elif rule in ("sample", "active_sample", cells.IMPORTED) and images:
        results = costs.samples_bytes(images, maps=rule != "active_sample")
    elif rule in costs.SCORE_BYTES and images:
        results = costs.SCORE_BYTES[rule] * images.test
    elif rule == cells.REPORT:
        tested = sum(data[name].test for name in config.grid.datasets) * len(config.grid.models)
        results = costs.PAGE_BYTES + costs.TILES_BYTES * tested
    elif cells.is_figure(rule):
        results = costs.FIGURE_BYTES
    elif cells.is_table(rule):
        results = costs.TABLE_BYTES
    return results + costs.JOB_BYTES


def expected(of: Parsed, jobs: Mapping[int, tuple[str, Cell]], gpu: bool) -> dict[int, tuple[str, float]]:
    """Rule and seconds of jobs, by job id, from their rules and cells; `gpu`: whether networks run on one."""
    data = datasets_of(of, (cell for _, cell in jobs.values()))
    scales = scales_of(of, gpu)
    known: dict[tuple[str, str, str, str], float] = {}
    for rule, cell in jobs.values():
        kind = (rule, cell.dataset, cell.model, cell.strategy)
        if kind not in known:
            spec = network_spec(of.config, rule, cell)
            known[kind] = seconds(of, rule, cell, data, gpu, spec, None) * scale(scales, rule, cell.model)
    return {job: (rule, known[rule, cell.dataset, cell.model, cell.strategy]) for job, (rule, cell) in jobs.items()}


class Scale(NamedTuple):
    """Measured time of a rule's jobs, as a multiple of the assumed time."""

    factor: float
    runs: int


Scales = Mapping[tuple[str, str], Scale]
"""By rule and model; model "" stands for all models together."""
ENOUGH = 20
"""Records of a rule and a model that are read; there may be tens of thousands."""


def scales_of(of: Parsed, gpu: bool) -> Scales:
    """What the jobs of earlier runs took by their records, each compared with what is assumed for its settings.

    `gpu` is whether these runs had a GPU. Runs whose settings are not recorded or whose dataset is gone are left out.
    """
    taken: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for path in sorted((of.folder / of.rules.records).rglob("*.json")):
        found = of.rules.producer(path.relative_to(of.folder).as_posix())
        if found is None:
            continue
        rule, cell = found[0], Cell.of(found[1])
        key = (rule, cell.model)
        if len(taken.get(key, [])) == ENOUGH:
            continue
        # A record that was cut off says nothing.
        with suppress(ValueError, KeyError, TypeError, ZeroDivisionError):
            if pair := _measured_and_assumed(of, rule, cell, gpu):
                taken.setdefault(key, []).append(pair)
    for (rule, model), pairs in list(taken.items()):
        if model:
            taken.setdefault((rule, ""), []).extend(pairs)
    return {key: Scale(sum(m for m, _ in pairs) / sum(a for _, a in pairs), len(pairs)) for key, pairs in taken.items()}


def _measured_and_assumed(of: Parsed, rule: str, cell: Cell, gpu: bool) -> tuple[float, float] | None:
    """Seconds that a run took and that it is assumed to have taken; None where that is not known.

    Results that were restored may have been computed on another machine.
    """
    own = _record(of, rule, cell)
    if rule in costs.PER_ROW or own is None or own.restored or not own.cost:
        return None
    data = {}
    if cell.dataset:
        prepared = _record(of, "prepare", Cell(cell.dataset))
        if prepared is None:
            return None
        images = costs.data_of(of.config.datasets[cell.dataset], store_of(of, cell.dataset))
        if images.source:
            return None
        data = {cell.dataset: images._replace(size=prepared.spec["size"])}
    spec, steps = "", None
    if rule in TRAINED_BY:
        # All trainings of a dataset, model and seed in active learning have the settings of round 0.
        start = cell if TRAINED_BY[rule] == "train" else cell._replace(strategy=cells.START, round=0)
        trained = _record(of, TRAINED_BY[rule], cells.training_behind(of.config, start))
        if trained is None:
            return None
        spec = json.dumps(trained.spec)
        steps = _steps_taken(of.folder / cell.fill(of.rules.pattern(rule, "history"))) if rule == "train" else None
    return own.cost["seconds"], seconds(of, rule, cell, data, gpu, spec, steps)


def _record(of: Parsed, rule: str, cell: Cell) -> records.Record | None:
    return records.read(of.folder / cell.fill(of.rules.pattern(rule, "record")))


def _steps_taken(history: Path) -> int | None:
    try:
        with history.open(encoding="utf-8") as file:
            return max(int(row["step"]) for row in csv.DictReader(file))
    except (OSError, ValueError, KeyError):
        return None


def scale(scales: Scales, rule: str, model: str) -> float:
    """The factor of a rule and model, else of the rule with any model, else 1."""
    return scales.get((rule, model), scales.get((rule, ""), Scale(1.0, 0))).factor
