"""What the configured grid comes to, before anything is submitted: jobs, hours, disk, the shortest possible time.

The jobs are laid out from the config alone, not by Snakemake: that works before the raw data is there, and takes
seconds for grids of hundreds of thousands of jobs. `tests/test_plan.py` compares them with Snakemake's.
"""

import csv
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from segunc.config import schema as settings
from segunc.catalogue.options import constant_of
from segunc.config.schema import Config
from segunc.plan import costs
from segunc.runtime import records as provenance
from segunc.runtime.errors import UserError


class Cell(NamedTuple):
    """What a job is of; what does not apply is empty."""

    dataset: str = ""
    model: str = ""
    strategy: str = ""
    seed: int | str = ""
    round: int | str = ""
    metric: str = ""


class Job(NamedTuple):
    """A job of the grid."""

    rule: str
    cell: Cell
    needs: Sequence[int]
    """Positions of the jobs whose results it reads."""


class Rule(NamedTuple):
    """Where a rule's jobs write, with the cell's parts in braces."""

    record: str
    """Below results/provenance; the benchmark has the same name below results/benchmarks."""
    outputs: Sequence[str]
    """Below results/."""


CHAIN = "{dataset}/{model}/{strategy}/seed{seed}/round{round}"
CELL = "{dataset}/{model}/seed{seed}"
TABLES = ("uncertainty_by_outcome", "uncertainty_by_agreement", "entropy_histograms", "ged_by_votes", "comparisons")


def _scores(folder: str) -> tuple[str, str]:
    return f"scores/{folder}/images.csv", f"scores/{folder}/pixels.csv.gz"


def _figure(rule: str, which: str = "") -> Rule:
    name = rule.removeprefix("plot_")
    files = [f"figures/{name}{f'_{which}' if which else ''}.{suffix}" for suffix in ("png", "pdf")]
    return Rule(f"{rule}/{which}" if which else rule, files)


RULES = {
    "prepare": Rule("prepare/{dataset}", ["data/{dataset}.h5"]),
    "train_model": Rule(f"train/{CELL}", [f"models/{CELL}/weights.pt", f"models/{CELL}/history.csv"]),
    "sample": Rule(f"sample/{CELL}", [f"samples/{CELL}.h5"]),
    "evaluate": Rule(f"evaluate/{CELL}", _scores(CELL)),
    "baselines": Rule("baselines/{dataset}", _scores("{dataset}/baselines")),
    "baseline_threshold": Rule(
        "baseline_threshold/{dataset}/seed{seed}", _scores("{dataset}/baseline_threshold/seed{seed}")
    ),
    "make_tables": Rule(
        "tables",
        ["tables/summary.csv", "tables/summary.md", "tables/exclusions.csv", "tables/missing.csv"]
        + [f"tables/{table}.csv" for table in TABLES],
    ),
    "plot_contact_sheet": _figure("plot_contact_sheet", "{dataset}"),
    "plot_uncertainty_maps": _figure("plot_uncertainty_maps", "{dataset}"),
    "plot_samples": _figure("plot_samples", "{dataset}"),
    "plot_entropy_by_outcome": _figure("plot_entropy_by_outcome"),
    "plot_entropy_by_agreement": _figure("plot_entropy_by_agreement"),
    "plot_ged_by_samples": _figure("plot_ged_by_samples"),
    "active_start": Rule("active_start/{dataset}/seed{seed}", ["active/{dataset}/start/seed{seed}/labelled.csv"]),
    "pick_without_network": Rule(
        "pick/{dataset}/{strategy}/seed{seed}/round{round}",
        ["active/{dataset}/{strategy}/seed{seed}/round{round}/labelled.csv"],
    ),
    "pick_with_network": Rule(f"pick/{CHAIN}", [f"active/{CHAIN}/labelled.csv"]),
    "active_train": Rule(f"active_train/{CHAIN}", [f"active/{CHAIN}/weights.pt"]),
    "active_test": Rule(f"active_test/{CHAIN}", [f"active/{CHAIN}/scores.csv"]),
    "active_tables": Rule(
        "active_tables",
        [
            f"tables/{table}.csv"
            for table in ("active_learning", "active_summary", "pairwise_penalty", "active_missing")
        ],
    ),
    "plot_learning_curves": _figure("plot_learning_curves", "{metric}"),
    "plot_active_composition": _figure("plot_active_composition"),
    "plot_active_picks": _figure("plot_active_picks", "{dataset}"),
    "plot_pairwise_penalty": _figure("plot_pairwise_penalty"),
}
"""In the order of the stages."""
NETWORK = ("train_model", "sample", "pick_with_network", "active_train", "active_test")
"""Rules that run a network, on a GPU if there is one."""


def jobs_of(config: Config) -> list[Job]:
    """All jobs of the configured grid, each behind those whose results it reads."""
    jobs: list[Job] = []

    def add(rule: str, needs: Sequence[int], *cell: Any, **named: Any) -> int:
        jobs.append(Job(rule, Cell(*cell, **named), needs))
        return len(jobs) - 1

    grid, active = config.grid, config.active
    asked = all((active.datasets, active.models, active.strategies, active.seeds, active.rounds))
    datasets = list(dict.fromkeys([*grid.datasets, *(active.datasets if asked else [])]))
    store = {dataset: add("prepare", [], dataset) for dataset in datasets}

    plain_unet = next((name for name in grid.models if config.models[name].method == "unet"), None)
    scores: list[int] = []
    drawn: dict[tuple[str, str, int], int] = {}
    for dataset in grid.datasets:
        scores.append(add("baselines", [store[dataset]], dataset))
        for seed in grid.seeds:
            for model in grid.models:
                trained = add("train_model", [store[dataset]], dataset, model, seed=seed)
                drawn[dataset, model, seed] = add("sample", [trained], dataset, model, seed=seed)
                scores.append(add("evaluate", [drawn[dataset, model, seed]], dataset, model, seed=seed))
            if plain_unet:
                scores.append(add("baseline_threshold", [drawn[dataset, plain_unet, seed]], dataset, seed=seed))
    tables = add("make_tables", scores)
    for dataset in grid.datasets:
        shown = [drawn[dataset, model, grid.seeds[0]] for model in grid.models]
        add("plot_contact_sheet", [store[dataset]], dataset)
        add("plot_uncertainty_maps", shown, dataset)
        add("plot_samples", [*shown, tables], dataset)
    for figure in ("plot_entropy_by_outcome", "plot_entropy_by_agreement", "plot_ged_by_samples"):
        add(figure, [tables])
    if not asked:
        return jobs

    asks = {strategy: settings.needs_network(config, strategy) for strategy in active.strategies}
    tests: list[int] = []
    first_picks: dict[str, list[int]] = {dataset: [] for dataset in active.datasets}
    for dataset in active.datasets:
        for seed in active.seeds:
            start = add("active_start", [store[dataset]], dataset, seed=seed)
            shared: dict[str, list[int]] = {}
            for strategy in active.strategies:
                if not asks[strategy]:
                    picked = [start]
                    for round_ in range(1, active.rounds + 1):
                        picked.append(add("pick_without_network", [picked[-1]], dataset, "", strategy, seed, round_))
                    shared[strategy] = picked
            for model in active.models:
                begun = add("active_train", [start], dataset, model, "start", seed, 0)
                tests.append(add("active_test", [begun], dataset, model, "start", seed, 0))
                for strategy in active.strategies:
                    picked_before, trained = start, begun
                    for round_ in range(1, active.rounds + 1):
                        cell = (dataset, model, strategy, seed, round_)
                        if asks[strategy]:
                            picked_now = add("pick_with_network", [picked_before, trained], *cell)
                        else:
                            picked_now = shared[strategy][round_]
                        if round_ == 1 and (model, seed) == (active.models[0], active.seeds[0]):
                            first_picks[dataset].append(picked_now)
                        trained = add("active_train", [picked_now], *cell)
                        tests.append(add("active_test", [trained], *cell))
                        picked_before = picked_now
    learned = add("active_tables", tests)
    both = set(active.datasets) & set(grid.datasets) and set(active.models) & set(grid.models)
    for metric in ("cross_entropy", "dice"):
        add("plot_learning_curves", [learned, *([tables] if both else [])], metric=metric)
    add("plot_active_composition", [learned])
    for dataset in active.datasets:
        add("plot_active_picks", first_picks[dataset], dataset)
    add("plot_pairwise_penalty", [learned])
    return jobs


FIGURES = (
    *("contact_sheet", "uncertainty_maps", "samples"),
    *("entropy_by_outcome", "entropy_by_agreement", "ged_by_samples"),
)
ACTIVE_FIGURES = ("learning_curves", "active_composition", "active_picks", "pairwise_penalty")
TARGETS = {
    "all": tuple(RULES),
    "data": ("prepare",),
    "train": ("train_model",),
    "samples": ("sample",),
    "tables": ("make_tables",),
    "figures": tuple(f"plot_{name}" for name in FIGURES),
    "active": ("active_tables", *(f"plot_{name}" for name in ACTIVE_FIGURES)),
}
"""The workflow's targets, and the rules whose jobs they want."""


def chosen(config: Config, jobs: Sequence[Job], targets: Sequence[str]) -> list[Job]:
    """The jobs that the targets (named ones, or files) need; UserError for a target that is neither."""
    wanted: set[int] = set()
    for target in targets or ["all"]:
        if target in TARGETS:
            found = [i for i, job in enumerate(jobs) if job.rule in TARGETS[target]]
        else:
            found = [i for i, job in enumerate(jobs) if target in outputs(job)]
        if target == "data":
            found = [i for i in found if jobs[i].cell.dataset in config.grid.datasets]
        if not found and target not in TARGETS:
            raise UserError(
                f"target {target} is neither {', '.join(TARGETS)} nor a file of the configured grid; "
                "give one of these, or put its cell into the grid."
            )
        wanted.update(found)
    for i in range(len(jobs) - 1, -1, -1):
        if i in wanted:
            wanted.update(jobs[i].needs)
    position = {old: new for new, old in enumerate(sorted(wanted))}
    return [jobs[old]._replace(needs=[position[need] for need in jobs[old].needs]) for old in position]


def outputs(job: Job) -> list[str]:
    """What the job makes, from the folder in which Snakemake works; without its record."""
    return [f"results/{_named(pattern, job.cell)}" for pattern in RULES[job.rule].outputs]


def _named(pattern: str, cell: Cell) -> str:
    return pattern.format_map(cell._asdict())


def done(config: Config, jobs: Sequence[Job], folder: Path) -> list[bool]:
    """Of each job whether its results are there and were made from today's settings and code, like those it reads."""
    todays = cache(lambda rule, cell: spec_of(config, rule, cell))
    same_code = cache(lambda code: all(_digest(module) == recorded for module, recorded in code))
    result: list[bool] = []
    for job in jobs:
        current = all(result[need] for need in job.needs)
        record = provenance.read(record_of(folder, job)) if current else None
        if record is not None:
            # All rounds and strategies of a seed share that of their trainings.
            shared = job.rule == "active_train"
            spec = todays(job.rule, job.cell._replace(strategy="", round="") if shared else job.cell)
            if job.rule == "prepare":
                # Whether the raw data is still the same is for Snakemake to see.
                spec = settings.data_spec(config, job.cell.dataset, record.spec.get("raw", {}))
            current = provenance.same_settings(record, spec)
            current = current and same_code(tuple(record.code.items()))
            current = current and all((folder / path).exists() for path in outputs(job))
        result.append(record is not None and current)
    return result


def record_of(folder: Path, job: Job) -> Path:
    return folder / "results/provenance" / f"{_named(RULES[job.rule].record, job.cell)}.json"


def _digest(module: str) -> str | None:
    """The digest of a module's code; None if there is no such module any more."""
    try:
        provenance.closure(module)
    except LookupError:
        return None
    return provenance.digest(module)


def spec_of(config: Config, rule: str, cell: Cell) -> str:
    """The param `spec` of a job, of which nothing is missing; without the raw data's digest for `prepare`."""
    seed, round_ = int(cell.seed or 0), int(cell.round or 0)
    match rule:
        case "prepare":
            return settings.data_spec(config, cell.dataset, {})
        case "train_model":
            return settings.train_spec(config, cell.dataset, cell.model, seed)
        case "active_train":
            return settings.active_train_spec(config, cell.dataset, cell.model, seed)
        case "sample" | "active_test":
            return settings.sample_spec(config, seed)
        case "active_start":
            return settings.start_spec(config, seed)
        case "pick_without_network" | "pick_with_network":
            return settings.pick_spec(config, cell.strategy, seed, round_)
        case "make_tables":
            return settings.tables_spec(config, [])
        case "active_tables":
            return settings.active_tables_spec(config, [])
        case "plot_contact_sheet":
            return settings.store_spec(config, cell.dataset)
        case "plot_uncertainty_maps" | "plot_samples":
            return settings.images_spec(config, cell.dataset, [])
        case "plot_entropy_by_outcome" | "plot_entropy_by_agreement" | "plot_ged_by_samples":
            return settings.figure_spec(config)
        case "plot_learning_curves":
            return settings.learning_curves_spec(config)
        case "plot_active_picks":
            return settings.picks_spec(config, cell.dataset, [])
        case "plot_active_composition" | "plot_pairwise_penalty":
            return settings.active_figure_spec(config)
        case _:
            return "{}"


Datasets = Mapping[str, costs.Data]


def data_of_all(config: Config, folder: Path) -> Datasets:
    """The images of each dataset of the grid, of which some may be counted and others expected."""
    names = dict.fromkeys([*config.grid.datasets, *config.active.datasets])
    return {name: costs.data_of(config.datasets[name], folder / f"results/data/{name}.h5") for name in names}


def seconds(config: Config, job: Job, data: Datasets, gpu: bool, spec: str, steps: int | None) -> float:
    """What a job is assumed to take. `spec` is that of its network's training, of which `steps` may be known."""
    rule, cell = job.rule, job.cell
    if rule in NETWORK:
        images, network = data[cell.dataset], json.loads(spec)
        if rule in ("train_model", "active_train"):
            work = costs.train_work(network, images, rule == "active_train", steps)
        elif rule == "pick_with_network":
            work = costs.sample_work(network, images, images.train, _draws_of_strategy(config, cell.strategy))
        else:
            work = costs.sample_work(network, images, images.test, config.draws)
        of_device = work @ costs.GPU if gpu else work @ costs.CPU / config.threads
        return costs.STARTUP["network"] + float(of_device)
    if rule.startswith("plot_"):
        return costs.STARTUP["figure"]
    return costs.STARTUP["other"] + _seconds_on_cpu(config, rule, cell, data)


def _draws_of_strategy(config: Config, strategy: str) -> int:
    needs = constant_of("strategies", config.strategies[strategy].method, "NEEDS")
    return config.draws if needs == "uncertainty" else 0


def _seconds_on_cpu(config: Config, rule: str, cell: Cell, data: Datasets) -> float:
    grid, active = config.grid, config.active
    if rule == "prepare":
        return data[cell.dataset].seconds
    if rule in costs.PER_IMAGE:
        images = data[cell.dataset]
        return costs.PER_IMAGE[rule] * images.test * (images.size / 64) ** 2
    if rule == "make_tables":
        rows = sum(data[name].test for name in grid.datasets) * (len(grid.models) + 1) * len(grid.seeds)
        return costs.PER_ROW[rule] * rows
    if rule == "active_tables":
        rounds = 1 + len(active.strategies) * active.rounds
        return costs.PER_ROW[rule] * len(active.datasets) * len(active.models) * len(active.seeds) * rounds
    return 0.0


def _network_spec(config: Config, job: Job) -> str:
    """The spec of the training behind a job that runs a network; empty for others."""
    if job.rule in ("train_model", "sample"):
        return settings.train_spec(config, job.cell.dataset, job.cell.model, 0)
    if job.rule in NETWORK:
        return settings.active_train_spec(config, job.cell.dataset, job.cell.model, 0)
    return ""


def bytes_of(config: Config, job: Job, data: Datasets, spec: str) -> float:
    """What a job leaves on the disk."""
    rule, images = job.rule, data.get(job.cell.dataset)
    results = 0.0
    if rule in ("train_model", "active_train") and images:
        results = costs.weights_bytes(json.loads(spec), images)
    elif rule == "prepare" and images:
        results = images.bytes
    elif rule == "sample" and images:
        results = costs.samples_bytes(config, images)
    elif rule in costs.PER_IMAGE and images:
        results = costs.SCORE_BYTES * images.test
    elif rule.startswith("plot_"):
        results = costs.FIGURE_BYTES
    elif rule.endswith("_tables"):
        results = costs.TABLE_BYTES
    return results + costs.JOB_BYTES


class Scale(NamedTuple):
    """How long a rule's jobs took in runs already made, as a multiple of what is assumed."""

    factor: float
    runs: int


Scales = Mapping[tuple[str, str], Scale]
"""By rule and model; model "" stands for all models together."""
ENOUGH = 20
"""Benchmarks of a rule and a model that are read; there may be tens of thousands."""


def scales_of(config: Config, folder: Path, gpu: bool) -> Scales:
    """What the benchmarks of runs in a folder say, each compared with what is assumed for the settings in its record.

    `gpu` says whether these runs had a GPU. Runs whose settings are not recorded or whose dataset is gone are left out.
    """
    patterns = [(rule, _pattern(entry.record)) for rule, entry in RULES.items()]
    taken: dict[tuple[str, str], list[tuple[float, float]]] = {}
    root = folder / "results/benchmarks"
    for path in sorted(root.rglob("*.tsv")):
        name = path.relative_to(root).with_suffix("").as_posix()
        matches = ((rule, match) for rule, pattern in patterns if (match := pattern.fullmatch(name)))
        rule, match = next(matches, ("", None))
        if match is None:
            continue
        job = Job(rule, Cell(**match.groupdict()), [])
        key = (rule, job.cell.model)
        if len(taken.get(key, [])) == ENOUGH:
            continue
        if pair := _measured_and_assumed(config, folder, job, path, gpu):
            taken.setdefault(key, []).append(pair)
    for (rule, model), pairs in list(taken.items()):
        if model:
            taken.setdefault((rule, ""), []).extend(pairs)
    return {key: Scale(sum(m for m, _ in pairs) / sum(a for _, a in pairs), len(pairs)) for key, pairs in taken.items()}


def _pattern(record: str) -> re.Pattern[str]:
    parts = {"seed": r"\d+", "round": r"\d+"}
    return re.compile(re.sub(r"\{(\w+)\}", lambda m: rf"(?P<{m[1]}>{parts.get(m[1], '[a-z0-9_]+')})", record))


def _measured_and_assumed(
    config: Config, folder: Path, job: Job, benchmark: Path, gpu: bool
) -> tuple[float, float] | None:
    """Seconds that a run took and that it is assumed to have taken; None where that cannot be known."""
    cell = job.cell
    data = {}
    if cell.dataset:
        prepared = provenance.read(folder / f"results/provenance/prepare/{cell.dataset}.json")
        if cell.dataset not in config.datasets or prepared is None:
            return None
        images = costs.data_of(config.datasets[cell.dataset], folder / f"results/data/{cell.dataset}.h5")
        if images.source:
            return None
        data = {cell.dataset: images._replace(size=prepared.spec["size"])}
    spec, steps = "", None
    if job.rule in NETWORK:
        if cell.strategy and cell.strategy not in ("start", *config.strategies):
            return None
        # All trainings of a dataset, model and seed in active learning have the settings of round 0.
        behind = "train_model" if job.rule in ("train_model", "sample") else "active_train"
        start = cell if behind == "train_model" else cell._replace(strategy="start", round=0)
        trained = provenance.read(record_of(folder, Job(behind, start, [])))
        if trained is None:
            return None
        spec = json.dumps(trained.spec)
        steps = _steps_taken(folder / outputs(job)[1]) if job.rule == "train_model" else None
    elif job.rule in costs.PER_ROW:
        return None
    with benchmark.open(encoding="utf-8") as file:
        times = [float(row["s"]) for row in csv.DictReader(file, delimiter="\t")]
    return sum(times) / len(times), seconds(config, job, data, gpu, spec, steps)


def _steps_taken(history: Path) -> int | None:
    try:
        with history.open(encoding="utf-8") as file:
            return max(int(row["step"]) for row in csv.DictReader(file))
    except (OSError, ValueError, KeyError):
        return None


def scale(scales: Scales, rule: str, model: str) -> float:
    """The factor of a rule and model, else of the rule with any model, else 1."""
    return scales.get((rule, model), scales.get((rule, ""), Scale(1.0, 0))).factor


class Plan(NamedTuple):
    """What a grid comes to."""

    jobs: list[Job]
    done: list[bool]
    seconds: list[float]
    """Of each job."""
    bytes: list[float]


def plan(config: Config, jobs: list[Job], there: list[bool], data: Datasets, gpu: bool, scales: Scales) -> Plan:
    """What the jobs, of which some are done, come to if networks run on a GPU, or on CPU cores."""
    known: dict[tuple[str, str, str, str], tuple[float, float]] = {}
    costs_of = []
    for job in jobs:
        kind = (job.rule, job.cell.dataset, job.cell.model, job.cell.strategy)
        if kind not in known:
            spec = _network_spec(config, job)
            time = seconds(config, job, data, gpu, spec, None) * scale(scales, job.rule, job.cell.model)
            known[kind] = time, bytes_of(config, job, data, spec)
        costs_of.append(known[kind])
    return Plan(jobs, there, [s for s, _ in costs_of], [b for _, b in costs_of])


def longest_chain(of: Plan) -> list[int]:
    """Positions of the jobs left to do, each of which waits for the one before, that take longest together."""
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
    """The plan of `snakemake <arguments>` as text. Raises UserError and ConfigError."""
    config, targets, folder = read_arguments(arguments)
    jobs = chosen(config, jobs_of(config), targets)
    data, there, had_gpu = data_of_all(config, folder), done(config, jobs, folder), bool(settings.gpus(config))
    scales = scales_of(config, folder, had_gpu)
    # What networks took on one kind of device says nothing about the other.
    of_others = {key: value for key, value in scales.items() if key[0] not in NETWORK}
    on_gpu = plan(config, jobs, there, data, True, scales if had_gpu else of_others)
    on_cores = plan(config, jobs, there, data, False, of_others if had_gpu else scales)
    shown = on_cores if config.device == "cpu" else on_gpu
    lines = [*_table(config, shown), "", *_chain(shown), *_bounds(config, on_gpu, on_cores), ""]
    return "\n".join([*lines, *_measured(config, scales, had_gpu), *_assumed(config, data, shown)])


def read_arguments(arguments: Sequence[str]) -> tuple[Config, list[str], Path]:
    """The config, the targets and the working folder that `snakemake <arguments>` would take."""
    from snakemake import cli
    from snakemake.common.configfile import load_configfile
    from snakemake.utils import update_config

    _, args = cli.parse_args(list(arguments))
    raw = load_configfile(Path(cli.resolve_snakefile(args.snakefile)).parent / "config.yaml")
    for overlay in args.configfile or []:
        update_config(raw, load_configfile(overlay))
    update_config(raw, cli.parse_config(args.config))
    return settings.load(raw), args.targets, Path(args.directory or ".")


def _cores(config: Config, rule: str) -> int:
    return config.threads if rule in NETWORK else 1


def _table(config: Config, of: Plan) -> Iterator[str]:
    gpu = config.device != "cpu"
    rows = []
    stages: dict[str, list[int]] = {"figures" if rule.startswith("plot_") else rule: [] for rule in RULES}
    for i, job in enumerate(of.jobs):
        stages["figures" if job.rule.startswith("plot_") else job.rule].append(i)
    for rule, mine in stages.items():
        left = sum(of.seconds[i] for i in mine if not of.done[i]) / 3600
        there = sum(of.done[i] for i in mine)
        disk = sum(of.bytes[i] for i in mine)
        if mine:
            rows.append((rule, len(mine), there, left * (gpu and rule in NETWORK), left * _cores(config, rule), disk))
    rows.append(("total", *(sum(column) for column in list(zip(*rows, strict=True))[1:])))
    yield f"{'rule':22}{'jobs':>9}{'done':>9}{'GPU-hours':>12}{'core-hours':>12}{'disk':>11}"
    for rule, count, there, gpu_hours, core_hours, disk in rows:
        yield f"{rule:22}{count:9,}{there:9,}{_hours(gpu_hours):>12}{_hours(core_hours):>12}{_size(disk):>11}"
    yield "Hours are those of the jobs that are not done, disk is that of all, 20 kB of small files per job included."


def _chain(of: Plan) -> Iterator[str]:
    chain = longest_chain(of)
    if not chain:
        yield "Nothing is left to do."
        return
    rules = Counter(of.jobs[i].rule for i in chain)
    words = ", ".join(f"{count} {rule}" if count > 1 else rule for rule, count in rules.items())
    cell = max((of.jobs[i].cell for i in chain), key=lambda cell: sum(map(bool, cell)))
    of_cell = " ".join(part for part in cell[:3] if part)
    together = _time(sum(of.seconds[i] for i in chain))
    yield f"Longest chain: {together}, {len(chain)} jobs of {of_cell}: {words}."


def _bounds(config: Config, on_gpu: Plan, on_cores: Plan) -> Iterator[str]:
    if all(on_gpu.done):
        return
    yield "Shortest possible wall time, by the longest chain and the work to share:"
    if config.device != "cpu":
        work = sum(s for job, s, there in _jobs(on_gpu) if job.rule in NETWORK and not there)
        yield f"  GPUs   {_shortest(on_gpu, work, GPUS)}"
    if config.device != "cuda":
        work = sum(s * _cores(config, job.rule) for job, s, there in _jobs(on_cores) if not there)
        alone = "" if config.device == "cpu" else "   (without a GPU)"
        yield f"  cores  {_shortest(on_cores, work, CORES)}{alone}"


def _shortest(of: Plan, work: float, workers: Sequence[int]) -> str:
    """Lower bounds of the wall time: the longest chain, or the work (in seconds) shared by so many workers."""
    chain = sum(of.seconds[i] for i in longest_chain(of))
    bounds = [f"{n}: {_time(max(chain, work / n))}" for n in workers]
    return "   ".join([*bounds, f"any number: {_time(chain)}"])


def _jobs(of: Plan) -> Iterator[tuple[Job, float, bool]]:
    return zip(of.jobs, of.seconds, of.done, strict=True)


def _measured(config: Config, scales: Scales, had_gpu: bool) -> Iterator[str]:
    of_rules = {rule: sum(s.runs for (r, model), s in scales.items() if r == rule and model) for rule in RULES}
    for (rule, model), found in scales.items():
        if not model and not of_rules[rule]:
            of_rules[rule] = found.runs
    of_rules = {rule: runs for rule, runs in of_rules.items() if runs and not rule.startswith("plot_")}
    if not of_rules:
        yield "Measured: nothing yet, there are no benchmarks of runs in results/benchmarks."
        return
    device = "a GPU" if had_gpu else "CPU cores"
    yield f"Measured (times the assumption, from results/benchmarks; networks on {device}):"
    for rule, runs in of_rules.items():
        models = [f"{model} {s.factor:.2f}" for (r, model), s in sorted(scales.items()) if r == rule and model]
        factors = ", ".join(models) or f"{scales[rule, ''].factor:.2f}"
        yield f"  {rule}: {factors} ({runs} run{'s' if runs > 1 else ''})"
    if config.device == "auto" and not had_gpu:
        yield "  Networks on a GPU are not measured: these runs had none."


def _assumed(config: Config, data: Datasets, of: Plan) -> Iterator[str]:
    yield "Assumed:"
    for name, images in data.items():
        source = f"expected: {images.source}" if images.source else "counted"
        yield f"  {name}: {images.images:,} images, {images.train:,} to train, {images.test:,} to test ({source})"
    devices = {"cpu": costs.RATES_FROM[:1], "cuda": costs.RATES_FROM[1:], "auto": costs.RATES_FROM}[config.device]
    for device in devices:
        yield f"  rates {device}"
    yield f"  {costs.STARTUP['network']:.0f} s to start a network's job; other jobs: {costs.CPU_JOBS_FROM}"
    if extra := _hours_if_none_stops_early(config, data, of):
        yield (
            f"  a training with early stopping ends after {costs.STOPS_AFTER} times its patience; "
            f"if none stops early, train_model takes {_hours(extra)} hours"
        )


def _hours_if_none_stops_early(config: Config, data: Datasets, of: Plan) -> float:
    """Hours of the trainings left to do if each takes its whole budget; 0 if that is what is expected anyway."""
    hours, differs = 0.0, False
    left = Counter(
        (job.cell.dataset, job.cell.model, job_seconds)
        for job, job_seconds, there in _jobs(of)
        if job.rule == "train_model" and not there
    )
    for (dataset, model, expected), count in left.items():
        training = json.loads(settings.train_spec(config, dataset, model, 0))["training"]
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
