"""The plan of a grid as text: jobs, hours, disk, critical path, the shortest possible time."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from segunc.cells import Cell, is_figure
from segunc.config import specs
from segunc.config.schema import Config
from segunc.plan import costs
from segunc.plan.durations import (
    TRAINED_BY,
    Datasets,
    Scales,
    bytes_of,
    datasets_of,
    network_spec,
    scale,
    scales_of,
    seconds,
)
from segunc.plan.jobs import Job, done, jobs_of
from segunc.workflow.environment import gpus
from segunc.workflow.snakemake_internals import Parsed, parse


class Plan(NamedTuple):
    """What a grid comes to."""

    jobs: list[Job]
    done: list[bool]
    seconds: list[float]
    """Of each job."""
    bytes: list[float]


def plan(parsed: Parsed, jobs: list[Job], finished: list[bool], data: Datasets, gpu: bool, scales: Scales) -> Plan:
    """What the jobs, of which some are finished, take if networks run on a GPU, or on CPU cores."""
    known: dict[tuple[str, str, str, str], tuple[float, float]] = {}
    costs_of = []
    for rule, cell, *_ in jobs:
        kind = (rule, cell.dataset, cell.model, cell.strategy)
        if kind not in known:
            spec = network_spec(parsed.config, rule, cell)
            time = seconds(parsed, rule, cell, data, gpu, spec, None) * scale(scales, rule, cell.model)
            known[kind] = time, bytes_of(parsed.config, rule, cell, data, spec)
        costs_of.append(known[kind])
    return Plan(jobs, finished, [s for s, _ in costs_of], [b for _, b in costs_of])


def critical_path(of: Plan) -> list[int]:
    """Positions of the unfinished jobs on the critical path: the chain of dependent jobs that takes longest."""
    finished: list[float] = []
    before: list[int | None] = []
    for i, job in enumerate(of.jobs):
        last = max(job.needs, key=lambda need: finished[need], default=None)
        before.append(last)
        finished.append((finished[last] if last is not None else 0.0) + (0.0 if of.done[i] else of.seconds[i]))
    at = max(range(len(finished)), key=finished.__getitem__, default=None)
    chain = []
    while at is not None:
        if not of.done[at]:
            chain.append(at)
        at = before[at]
    return chain[::-1]


GPUS = (1, 4, 16)
CORES = (2, 16, 64)


def report(arguments: Sequence[str]) -> str:
    """The plan of `snakemake <arguments>` as text. Raises UserError."""
    parsed = parse(arguments)
    config, device, had_gpu = parsed.config, parsed.device, bool(gpus(parsed.device))
    jobs = jobs_of(parsed.rules, parsed.targets)
    data, finished = datasets_of(parsed, (job.cell for job in jobs)), done(parsed.rules, config, jobs, parsed.folder)
    scales = scales_of(parsed, had_gpu)
    # Times of networks on one kind of device are no guide to the other.
    of_others = {key: value for key, value in scales.items() if key[0] not in TRAINED_BY}
    on_gpu = plan(parsed, jobs, finished, data, True, scales if had_gpu else of_others)
    on_cores = plan(parsed, jobs, finished, data, False, of_others if had_gpu else scales)
    shown = on_cores if device == "cpu" else on_gpu
    lines = [*_table(parsed, on_gpu, on_cores), "", *_chain(shown), *_bounds(parsed, on_gpu, on_cores), ""]
    return "\n".join([*lines, *_measured(parsed, scales, had_gpu), *_assumed(parsed, data, shown)])


def _table(parsed: Parsed, on_gpu: Plan, on_cores: Plan) -> Iterator[str]:
    """A row per rule; hours if networks run on a GPU and if they run on CPU cores, as far as the device allows."""
    shown = {"cpu": [on_cores], "cuda": [on_gpu]}.get(parsed.device, [on_gpu, on_cores])
    stages: dict[str, list[int]] = {"figures" if is_figure(rule) else rule: [] for rule in parsed.rules.names}
    for i, job in enumerate(on_cores.jobs):
        stages["figures" if is_figure(job.rule) else job.rule].append(i)
    heads: list[tuple[str, int]] = [("jobs", 9), ("done", 9)]
    rows: list[tuple[Any, ...]] = []
    heads += [("GPU-hours", 12), ("core-hours", 12)] * (on_gpu in shown) + [("without GPU", 13)] * (len(shown) > 1)
    heads += [("core-hours", 12)] * (shown == [on_cores]) + [("disk", 11)]
    for rule, mine in stages.items():
        if not mine:
            continue
        cores = 1 if rule == "figures" else parsed.rules.threads(rule)
        hours: list[float] = []
        for of in shown:
            left = sum(of.seconds[i] for i in mine if not of.done[i]) / 3600
            hours += [left * (rule in TRAINED_BY)] * (of is on_gpu) + [left * cores]
        done_there, disk = sum(on_cores.done[i] for i in mine), sum(on_cores.bytes[i] for i in mine)
        rows.append((rule, len(mine), done_there, *hours, disk))
    rows.append(("total", *(sum(column) for column in list(zip(*rows, strict=True))[1:])))
    yield f"{'rule':26}" + "".join(f"{head:>{width}}" for head, width in heads)
    for rule, count, there, *hours, disk in rows:
        cells = [f"{count:,}", f"{there:,}", *map(_hours, hours), _size(disk)]
        yield f"{rule:26}" + "".join(f"{cell:>{width}}" for cell, (_, width) in zip(cells, heads, strict=True))
    yield "Hours cover the jobs that are not done; disk usage covers all jobs, with 20 kB of small files each."
    if len(shown) > 1:
        yield "With a GPU, networks take GPU-hours and core-hours; without one, they take the core-hours `without GPU`."


def _chain(of: Plan) -> Iterator[str]:
    chain = critical_path(of)
    if not chain:
        yield "Nothing is left to do."
        return
    rules = Counter(of.jobs[i].rule for i in chain)
    words = ", ".join(f"{count} {rule}" if count > 1 else rule for rule, count in rules.items())
    cell = max((of.jobs[i].cell for i in chain), key=lambda cell: sum(map(bool, cell)))
    of_cell = " ".join(part for part in cell[:3] if part)
    together = _time(sum(of.seconds[i] for i in chain))
    yield f"Critical path: {together}, {len(chain)} jobs of {of_cell}: {words}."


def _bounds(parsed: Parsed, on_gpu: Plan, on_cores: Plan) -> Iterator[str]:
    if all(on_gpu.done):
        return
    yield "Lower bound on wall time (critical path, or total work / workers):"
    if parsed.device != "cpu":
        work = sum(s for job, s, there in _jobs(on_gpu) if job.rule in TRAINED_BY and not there)
        yield f"  GPUs   {_shortest(on_gpu, work, GPUS)}"
    if parsed.device != "cuda":
        work = sum(s * parsed.rules.threads(job.rule) for job, s, there in _jobs(on_cores) if not there)
        alone = "" if parsed.device == "cpu" else "   (without a GPU)"
        yield f"  cores  {_shortest(on_cores, work, CORES)}{alone}"


def _shortest(of: Plan, work: float, workers: Sequence[int]) -> str:
    """Lower bounds of the wall time: the critical path, or the work (in seconds) divided by the workers."""
    chain = sum(of.seconds[i] for i in critical_path(of))
    bounds = [f"{n}: {_time(max(chain, work / n))}" for n in workers]
    return "   ".join([*bounds, f"any number: {_time(chain)}"])


def _jobs(of: Plan) -> Iterator[tuple[Job, float, bool]]:
    return zip(of.jobs, of.seconds, of.done, strict=True)


def _measured(parsed: Parsed, scales: Scales, had_gpu: bool) -> Iterator[str]:
    of_rules = {
        rule: sum(s.runs for (r, model), s in scales.items() if r == rule and model) for rule in parsed.rules.names
    }
    for (rule, model), found in scales.items():
        if not model and not of_rules[rule]:
            of_rules[rule] = found.runs
    of_rules = {rule: runs for rule, runs in of_rules.items() if runs and not is_figure(rule)}
    if not of_rules:
        yield f"Measured: nothing in {parsed.rules.records} yet."
        return
    device = "a GPU" if had_gpu else "CPU cores"
    yield f"Measured (times the assumption, from {parsed.rules.records}; networks on {device}):"
    for rule, runs in of_rules.items():
        models = [f"{model} {s.factor:.2f}" for (r, model), s in sorted(scales.items()) if r == rule and model]
        factors = ", ".join(models) or f"{scales[rule, ''].factor:.2f}"
        yield f"  {rule}: {factors} ({runs} run{'s' if runs > 1 else ''})"
    if parsed.device == "auto" and not had_gpu:
        yield "  Networks on a GPU are not measured: these runs had none."


def _assumed(parsed: Parsed, data: Datasets, of: Plan) -> Iterator[str]:
    yield "Assumed:"
    for name, images in data.items():
        source = f"expected: {images.source}" if images.source else "counted"
        yield f"  {name}: {images.images:,} images, {images.train:,} to train, {images.test:,} to test ({source})"
    devices = {"cpu": costs.RATES_FROM[:1], "cuda": costs.RATES_FROM[1:], "auto": costs.RATES_FROM}[parsed.device]
    for device in devices:
        yield f"  rates {device}"
    yield f"  {costs.STARTUP['network']:.0f} s to start a network's job; other jobs: {costs.CPU_JOBS_FROM}"
    if extra := _hours_if_none_stops_early(parsed.config, data, of):
        yield (
            f"  a training with early stopping ends after {costs.STOPS_AFTER} times its patience; "
            f"if none stops early, train takes {_hours(extra)} hours"
        )


def _hours_if_none_stops_early(config: Config, data: Datasets, of: Plan) -> float:
    """Hours of the trainings left to do if each takes its whole budget; 0 if that is what is expected anyway."""
    hours, differs = 0.0, False
    left = Counter(
        (job.cell.dataset, job.cell.model, job_seconds)
        for job, job_seconds, there in _jobs(of)
        if job.rule == "train" and not there
    )
    for (dataset, model, expected), count in left.items():
        training = json.loads(specs.train(config, Cell(dataset, model, seed=0)))["training"]
        share = costs.budget(training, data[dataset]) / costs.expected_steps(training, data[dataset])
        differs |= share > 1
        hours += count * expected * share / 3600
    return hours if differs else 0.0


def _time(seconds: float) -> str:
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 1.5 * length:
            return f"{seconds / length:.1f} {unit}" if seconds < 10 * length else f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def _hours(count: float) -> str:
    return "-" if not count else f"{count:,.2f}" if count < 10 else f"{count:,.0f}"


def _size(count: float) -> str:
    return f"{count / 1e9:,.1f} GB" if count >= 1e9 else f"{count / 1e6:,.0f} MB"
