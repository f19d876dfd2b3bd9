"""Specs: the settings that a job's results depend on, as JSON text. Each rule names its function here.

A spec contains every setting that the result depends on and nothing else: no label in a training, no device, no thread
count. So another label or another machine reruns no training. The types that stages read are beside the code
that uses them (`segunc.learning.train_spec`).
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from segunc import cells
from segunc.catalogue.options import options_of, raw_options
from segunc.cells import Cell
from segunc.config.acquisition import acquisition, needs
from segunc.config.load import training_of
from segunc.config.looks import looks
from segunc.config.schema import FORMAT, METHOD, STRATEGY, Active, Config, Grid, ModelOverrides, Training
from segunc.networks.shape import Backbone
from segunc.networks.work import work_of, wrapped_work


def prepare(config: Config, cell: Cell, raw: Mapping[str, str]) -> str:
    """Raw format, its options, geometry, split, and the raw data itself: a digest by option name."""
    entry = config.datasets[cell.dataset]
    options = options_of(FORMAT[0], entry.format, FORMAT[1])(**entry.options)
    values = options.model_dump(exclude=set(raw_options(type(options))))
    split = entry.split.model_dump(exclude_none=True)
    return _json(format=entry.format, options=values, size=entry.size, resize=entry.resize, split=split, raw=raw)


def train(config: Config, cell: Cell) -> str:
    """Method, options, backbone, training and seed."""
    return _train(config, cell, training_of(config, cell.dataset, cell.model))


def active_train(config: Config, cell: Cell) -> str:
    """The same for a round's training, which has no validation; all rounds and strategies of a seed share it."""
    training = training_of(config, cell.dataset, cell.model, active=True)
    return _train(config, cell, training.model_copy(update={"validate_every": None, "patience": None}))


def _train(config: Config, cell: Cell, training: Training) -> str:
    method, options = config.models[cell.model].method, _options(config, cell)
    return _json(method=method, options=options, backbone=config.backbone, training=training, seed=cell.seed)


def _options(config: Config, cell: Cell) -> BaseModel:
    """All options of the method of a model on a dataset."""
    entry = config.models[cell.model]
    override = entry.per_dataset.get(cell.dataset, ModelOverrides())
    return options_of(METHOD[0], entry.method, METHOD[1])(**{**entry.options, **override.options})


def sample(config: Config, cell: Cell) -> str:
    """Samples per image, and the seed; of a wrapper also its method and options."""
    entry = config.models[cell.model]
    spec = {"draws": _draws(config, cell), "seed": cell.seed}
    if entry.of:
        options = options_of(METHOD[0], entry.method, METHOD[1])(**entry.options)
        # Not under which id the network was trained: its weights are an input.
        wrapper = {"method": entry.method, "options": options.model_dump(mode="json", exclude={"of"})}
        return _json(**spec, wrapper=wrapper)
    return _json(**spec)


def import_predictions(config: Config, cell: Cell, raw: str) -> str:
    """Options of predictions that are files, the seed, and a digest of the files."""
    entry = config.models[cell.model]
    options = options_of(METHOD[0], entry.method, METHOD[1])(**entry.options)
    values = options.model_dump(mode="json", exclude=set(raw_options(type(options))))
    return _json(options=values, seed=cell.seed, raw=raw)


def _draws(config: Config, cell: Cell) -> int:
    return config.models[cell.model].draws or config.draws


def active_start(config: Config, cell: Cell) -> str:
    """Size of the initial labelled set, and the seed."""
    return _json(start=config.active.start, seed=cell.seed)


def active_acquire(config: Config, cell: Cell) -> str:
    """Strategy, its options, images per round, seed and round; `draws` if the strategy needs uncertainty."""
    entry = config.strategies[cell.strategy]
    options = options_of(STRATEGY[0], entry.method, STRATEGY[1])(**entry.options)
    spec = {"method": entry.method, "options": options, "add": config.active.add}
    if needs(config, cell.strategy) == "uncertainty":
        spec["draws"] = _draws(config, cell)
    return _json(**spec, seed=cell.seed, round=cell.round)


def active_evaluate(config: Config, cell: Cell) -> str:
    """`images`: how many are labelled in the round."""
    assert isinstance(cell.round, int)
    return _json(images=config.active.start + config.active.add * cell.round)


def tabulate(config: Config, cell: Cell) -> str:
    """Statistics, datasets and models in the order of the tables, which is the plain U-Net, what is missing."""
    grid = config.grid
    missing = [_missing(config, step, ("step", "dataset", "model", "seed")) for step in cells.scored(config)]
    return _json(
        statistics=config.statistics,
        datasets=grid.datasets,
        models=grid.models,
        unet=cells.plain_unet(config) or "",
        missing=list(filter(None, missing)),
    )


def active_tabulate(config: Config, cell: Cell) -> str:
    """The same for active learning."""
    active = config.active
    scored = {"datasets": active.datasets, "models": active.models, "strategies": active.strategies}
    names = ("dataset", "model", "strategy", "seed", "round")
    missing = [_missing(config, ("active_evaluate", round_), names) for round_ in cells.rounds(active)]
    return _json(
        confidence=config.statistics.confidence,
        **scored,
        seeds=active.seeds,
        rounds=active.rounds,
        missing=list(filter(None, missing)),
    )


def claims_tabulate(config: Config, cell: Cell) -> str:
    """What each model is by dataset; the learning curves, and which strategy is uncertainty sampling."""
    grid, active = config.grid, config.active
    entropy = (name for name in active.strategies if config.strategies[name].method == "entropy")
    spec = {
        "roles": {dataset: _roles(config, dataset, grid.models) for dataset in grid.datasets},
        "learners": {dataset: _roles(config, dataset, active.models, active=True) for dataset in active.datasets},
        "uncertainty": next(entropy, ""),
        "active": active.model_dump(include={"datasets", "models", "strategies", "rounds"}),
    }
    return _text(spec)


def _roles(config: Config, dataset: str, models: Iterable[str], active: bool = False) -> dict[str, str]:
    """By model: its method, or `ensemble_index` for an ensemble whose members learn from one annotator slot each."""
    roles = {model: config.models[model].method for model in models}
    for model, method in roles.items():
        if method == "ensemble" and training_of(config, dataset, model, active).annotators == "index":
            roles[model] = "ensemble_index"
    return roles


def _missing(config: Config, step: cells.Step, names: tuple[str, ...]) -> dict[str, Any]:
    """Cell and reason of a job whose results are missing; empty if they are not."""
    reason = config.reasons.get(step)
    facts = {"step": step[0], **step[1]._asdict(), "why": reason}
    return {name: facts[name] for name in (*names, "why")} if reason else {}


def answer(config: Config, cell: Cell) -> str:
    """Labels by id, which model is the plain U-Net, which datasets are phantoms."""
    datasets = dict.fromkeys([*config.grid.datasets, *config.active.datasets])
    models = dict.fromkeys([*config.grid.models, *config.active.models])
    return _text(
        {
            "datasets": {name: config.datasets[name].label for name in datasets},
            "models": {name: config.models[name].label for name in models},
            "unet": cells.plain_unet(config) or "",
            "synthetic": [name for name in datasets if config.datasets[name].format == "phantom"],
        }
    )


def figure(config: Config, cell: Cell) -> str:
    """A figure of the main grid's tables: labels and looks in the grid's order, `confidence` of intervals, `width`."""
    return _text(_look(config, config.grid, "models") | {"confidence": config.statistics.confidence})


def figure_of_dataset(config: Config, cell: Cell) -> str:
    """The same of one dataset."""
    return _text(_look(config, config.grid, "models", of=cell) | {"confidence": config.statistics.confidence})


def cost_against_quality(config: Config, cell: Cell) -> str:
    """As `figure`, with `costs`: multiply-adds of predicting an image with all samples, by dataset and model.

    They are relative to a pass through one U-Net; predictions that are files have none. Raises UserError if a model
    does not state its work.
    """
    grid = config.grid
    sampled = [model for model in grid.models if not config.models[model].imported]
    costs = {name: {model: _cost(config, Cell(name, model)) for model in sampled} for name in grid.datasets}
    look = _look(config, grid, "models")
    return _text(look | {"confidence": config.statistics.confidence, "costs": costs})


def _cost(config: Config, cell: Cell) -> float:
    """Three digits. Neither size nor channels of the images change them much: all parts of a network grow alike."""
    entry, trained = config.models[cell.model], cells.training_behind(config, cell)
    backbone, size = Backbone(**config.backbone.model_dump()), config.datasets[cell.dataset].size
    method, options = config.models[trained.model].method, _options(config, trained).model_dump()
    work = work_of(method, options, backbone, channels=1, size=size)
    if entry.of:
        work = wrapped_work(entry.method, _options(config, cell).model_dump(), work)
    spent = work.image + work.sample * _draws(config, cell)
    return float(f"{spent.multiply_adds / work.unet.multiply_adds:.3g}")


def contact_sheet(config: Config, cell: Cell) -> str:
    """A figure of one dataset's store: its label, `width`."""
    return _text(_look(config, config.grid, of=cell))


def figure_of_samples(config: Config, cell: Cell) -> str:
    """A figure of one dataset's samples of the first seed: look, `models` that have them, the `missing` others."""
    seed = config.grid.seeds[0]
    shown = {model: cells.samples(config, cell._replace(model=model, seed=seed)) for model in config.grid.models}
    look = _look(config, config.grid, "models", of=cell)
    return _text(look | {"seed": seed} | _present_and_missing(config, "models", shown))


def training_curves(config: Config, cell: Cell) -> str:
    """A figure of one dataset's training runs: look, `runs` (model and seed) with a history, the `missing` others."""
    shown = {(of.model, of.seed): ("train", of) for of in cells.own_trainings(config, cell.dataset)}
    return _text(_look(config, config.grid, "models", of=cell) | _present_and_missing(config, "runs", shown))


def figure_of_active_learning(config: Config, cell: Cell) -> str:
    """A figure of active learning's tables: as `figure`, with strategies."""
    look = _look(config, config.active, "models", "strategies")
    return _text(look | {"confidence": config.statistics.confidence})


def active_picks(config: Config, cell: Cell) -> str:
    """A figure of the first model's and seed's picks: look, `strategies` with picks, the `missing` others."""
    active = config.active
    shown = {name: acquisition(config, picked) for name, picked in cells.first_picks(active, cell.dataset).items()}
    look = _look(config, active, "models", "strategies", of=cell)
    present = _present_and_missing(config, "strategies", shown)
    return _text(look | {"model": active.models[0], "seed": active.seeds[0]} | present)


def assemble(
    config: Config, cell: Cell, figures: Iterable[Any], tables: Iterable[Any], assets: Mapping[str, str]
) -> str:
    """The report: the experiment for reading, labels, test images of the first seed, what is missing, what is shown.

    Each figure and table is path, title, section, caption and wildcards; `assets` are digests by file.
    """
    names = ("name", "title", "section", "caption", "wildcards")
    shown = {
        kind: [dict(zip(names, (Path(path).stem, *rest), strict=True)) for path, *rest in files]
        for kind, files in (("figures", figures), ("tables", tables))
    }
    labels = {name: config.datasets[name].label for name in config.grid.datasets}
    shown_images = [{"dataset": name, "label": labels[name], "models": models} for name, models in tested(config)]
    missing = [{"what": f"{step} {of}".strip(), "why": why} for (step, of), why in config.reasons.items()]
    return _text(
        {
            "config": _for_reading(config),
            "labels": {name: config.models[name].label for name in config.grid.models},
            "seed": config.grid.seeds[0],
            "tested": shown_images,
            "missing": missing,
            "assets": assets,
            **shown,
        }
    )


def tested(config: Config) -> list[tuple[str, list[str]]]:
    """The prepared datasets of the main grid, each with its models that have scores of the first seed."""
    grid = config.grid
    scored = {(d, m): ("evaluate", Cell(d, m, seed=grid.seeds[0])) for d in grid.datasets for m in grid.models}
    prepared = [dataset for dataset in grid.datasets if ("prepare", Cell(dataset)) not in config.reasons]
    return [(d, [m for m in grid.models if scored[d, m] not in config.reasons]) for d in prepared]


def _for_reading(config: Config) -> dict[str, Any]:
    """The config as text and numbers: of the catalogues, what the grids use; without folders of this machine."""
    grid, active = config.grid, config.active
    used = {
        "datasets": [*grid.datasets, *active.datasets],
        "models": [*grid.models, *active.models, *(cell.model for cell in cells.trainings(config))],
        "strategies": active.strategies,
    }
    whole = config.model_dump(mode="json", exclude_none=True, exclude={"raw_folders", "keep", "keep_gb", "missing"})
    for family, names in used.items():
        whole[family] = {name: whole[family][name] for name in dict.fromkeys(names)}
    return whole


def _present_and_missing(config: Config, name: str, steps: Mapping[Any, cells.Step]) -> dict[str, list[Any]]:
    """The keys of the steps under `name`, without those whose results are missing, which are under `missing`."""
    missing = [key for key, step in steps.items() if step in config.reasons]
    return {name: [key for key in steps if key not in missing], "missing": missing}


def _look(config: Config, owner: Grid | Active, *families: str, of: Cell | None = None) -> dict[str, Any]:
    """What all figures have: `labels` by family and id, in the owner's order, `looks` alike, and `width` in inches.

    families: `models` and `strategies`, if they are shown; of: whose dataset is shown, if not all.
    """
    shown = {family: getattr(owner, family) for family in families}
    datasets = [of.dataset] if of else owner.datasets
    labels = {
        family: {name: getattr(config, family)[name].label for name in names}
        for family, names in {"datasets": datasets, **shown}.items()
    }
    by_family = {family: looks(family, getattr(config, family)) for family in families}
    return {
        "labels": labels,
        "looks": {family: {name: by_family[family][name] for name in names} for family, names in shown.items()},
        "width": round(config.figures.width_mm / 25.4, 3),
    }


def _json(**values: Any) -> str:
    plain = {k: v.model_dump(mode="json") if isinstance(v, BaseModel) else v for k, v in values.items()}
    return _text(plain, sort_keys=True)


def _text(values: Mapping[str, Any], sort_keys: bool = False) -> str:
    # Snakemake's report puts params into a script, which `</script>` would end.
    return json.dumps(values, sort_keys=sort_keys).replace("<", r"\u003c")
