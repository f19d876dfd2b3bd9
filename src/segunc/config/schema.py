"""The experiment's typed config: what `config.yaml` and its overlays may say, and what each cell takes from it.

`load(raw)` validates the merged YAML and raises ConfigError with one sentence per mistake. The `*_spec` functions
resolve what one cell's result depends on, as one JSON string with sorted keys: no labels, threads or devices, so that
a new name in a figure or another machine reruns no training.

`python -m segunc.config > workflow/schemas/config.schema.json` writes the JSON schema for editors.
"""

import json
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, ValidationError, create_model
from pydantic import model_validator as validator

from segunc.config.options import available, constant_of, options_of, raw_options

CHECKOUT = Path(__file__).parents[2]

Identifier = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Share = Annotated[float, Field(gt=0, lt=1)]


class ConfigError(Exception):
    """The config says something that it may not say; the message is one sentence per mistake."""


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Grid(Strict):
    """The cells to compute: every dataset with every model and every seed."""

    datasets: list[Identifier] = Field(min_length=1, description="ids from the catalogue `datasets`")
    models: list[Identifier] = Field(min_length=1, description="ids from the catalogue `models`")
    seeds: list[Annotated[int, Field(ge=0)]] = Field(min_length=1, description="one training per seed")


class Split(Strict):
    """Shares of the patients (not of the images) on each side. A raw format with a published split ignores it."""

    train: Share = 0.7
    val: Share = 0.15
    test: Share = 0.15
    seed: int = Field(0, ge=0)

    @validator(mode="after")
    def _whole(self) -> "Split":
        if abs(self.train + self.val + self.test - 1) > 1e-6:
            raise ValueError(f"train + val + test must be 1, not {self.train + self.val + self.test:g}")
        return self


class Augmentation(Strict):
    """Random changes of training images, with the same geometry for their masks."""

    flip: bool = Field(True, description="horizontal and vertical flips, each with probability 1/2")
    rotation: float = Field(180, ge=0, le=180, description="rotation by up to this many degrees either way")
    scale: tuple[PositiveFloat, PositiveFloat] = Field((0.9, 1.1), description="range of the zoom factor")


class Training(Strict):
    """How a network is trained. The weights kept are those of the best validation."""

    steps: PositiveInt | None = Field(None, description="budget in gradient steps (give steps or epochs)")
    epochs: PositiveInt | None = Field(None, description="budget in passes through the training images")
    validate_every: PositiveInt | None = Field(None, description="gradient steps between validations; null: an epoch")
    patience: PositiveInt | None = Field(
        None, description="validations without improvement before stopping; null: never"
    )
    batch_size: PositiveInt = 16
    learning_rate: PositiveFloat = 1e-3
    warmup_steps: int = Field(0, ge=0, description="steps over which the learning rate rises linearly")
    schedule: Literal["constant", "cosine"] = Field("constant", description="learning rate after the warm-up")
    gradient_clip: PositiveFloat | None = Field(None, description="largest norm of the gradient; null: any")
    annotators: Literal["shuffled", "index"] = Field(
        "shuffled",
        description="which mask is whose: the slots shuffled once per nodule or lesion, or as they are in the raw data",
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="bfloat16 autocast; auto: where the hardware has it"
    )
    augmentation: Augmentation | None = Field(Augmentation(), description="null: none")

    @validator(mode="after")
    def _one_budget(self) -> "Training":
        if (self.steps is None) == (self.epochs is None):
            raise ValueError("give either steps or epochs, and null for the other")
        return self


def _partial(model: type[BaseModel]) -> Any:
    """The same fields with the same bounds, each optional: what an overlay of `model` may say."""
    fields: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        described = Field(description=field.description)
        fields[name] = (Annotated[field.annotation, *field.metadata, described], None)  # type: ignore[name-defined]
    return create_model(f"{model.__name__}Overrides", __base__=Strict, **fields)


if TYPE_CHECKING:
    TrainingOverrides = Training
else:
    TrainingOverrides = _partial(Training)


class Backbone(Strict):
    """The U-Net that all models share."""

    filters: list[PositiveInt] = Field([32, 64, 128, 192], min_length=2, description="per level, finest first")
    convolutions: PositiveInt = Field(3, description="3x3 convolutions per block")
    normalisation: Literal["batch", "none"] = "batch"


class Dataset(Strict):
    """One dataset: where its raw data is, how it becomes images of one size, how patients are split."""

    label: str = Field(description="name in tables and figures")
    format: str = Field(description="raw format: a file in src/segunc/data/formats")
    options: dict[str, Any] = Field({}, description="options of the raw format, with the raw data's name")
    size: PositiveInt = Field(description="height and width of the images, in pixels")
    resize: Literal["crop", "area"] = Field("crop", description="how to get there: crop the centre, or average areas")
    split: Split = Split()
    training: TrainingOverrides = Field(TrainingOverrides(), description="replaces keys of the global training")


class ModelOverrides(Strict):
    """What a model does differently on one dataset."""

    options: dict[str, Any] = {}
    training: TrainingOverrides = TrainingOverrides()


class Model(Strict):
    """One model: the method, its options, and how its training differs from the global one."""

    label: str = Field(description="name in tables and figures")
    method: str = Field(description="a file in src/segunc/models")
    options: dict[str, Any] = Field({}, description="options of the method")
    training: TrainingOverrides = Field(TrainingOverrides(), description="replaces keys of the dataset's training")
    per_dataset: dict[Identifier, ModelOverrides] = Field({}, description="what is different on single datasets")


class Strategy(Strict):
    """One acquisition strategy of active learning."""

    label: str = Field(description="name in tables and figures")
    method: str = Field(description="a file in src/segunc/strategies")
    options: dict[str, Any] = Field({}, description="options of the method")


class Active(Strict):
    """Active learning: the cells to compute, and how many images are labelled when. An empty list: none."""

    datasets: list[Identifier] = Field([], description="ids from the catalogue `datasets`")
    models: list[Identifier] = Field([], description="ids from the catalogue `models`")
    strategies: list[Identifier] = Field([], description="ids from the catalogue `strategies`")
    seeds: list[Annotated[int, Field(ge=0)]] = Field([], description="one start set and one chain of rounds per seed")
    start: PositiveInt = Field(50, description="images labelled in round 0")
    add: PositiveInt = Field(25, description="images picked per round")
    rounds: int = Field(10, ge=0, description="rounds after round 0")
    training: TrainingOverrides = Field(TrainingOverrides(), description="replaces keys of the cell's training")
    per_dataset: dict[Identifier, TrainingOverrides] = Field({}, description="what is different on single datasets")


class Statistics(Strict):
    """The bootstrap behind every interval: patients are drawn with replacement."""

    resamples: PositiveInt = 2000
    confidence: float = Field(0.95, gt=0, lt=1)
    seed: int = Field(0, ge=0)


class Config(Strict):
    """The experiment: `grid` selects from the catalogues `datasets` and `models`."""

    grid: Grid
    datasets: dict[Identifier, Dataset]
    models: dict[Identifier, Model]
    backbone: Backbone
    training: Training
    draws: PositiveInt = Field(16, multiple_of=16, description="sampled masks per test image")
    statistics: Statistics = Statistics()
    strategies: dict[Identifier, Strategy] = {}
    active: Active = Active()
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="where networks run")
    threads: PositiveInt = Field(1, description="CPU cores of one training or sampling job")
    raw_folders: list[str] = Field(["data"], description="folders in which raw data is looked for, in this order")
    missing: dict[str, str] = Field(
        {},
        description="results that could not be made, each with the reason: tables and figures do without them and say "
        "so; set by the workflow itself after --keep-going",
    )


def load(raw: dict[str, Any]) -> Config:
    """Validates a merged config and returns it typed; raises ConfigError with one sentence per mistake."""
    try:
        config = Config.model_validate(raw)
    except ValidationError as error:
        raise ConfigError("\n".join(_sentences(error, Config))) from None
    mistakes = []
    for selection, catalogue in (
        ("grid.datasets", config.datasets),
        ("grid.models", config.models),
        ("active.datasets", config.datasets),
        ("active.models", config.models),
        ("active.strategies", config.strategies),
    ):
        owner, family = selection.split(".")
        mistakes += _wrong_selection(selection, getattr(getattr(config, owner), family), catalogue)
    for owner in ("grid", "active"):
        seeds = getattr(config, owner).seeds
        for seed in {s for s in seeds if seeds.count(s) > 1}:
            mistakes.append(f"config key {owner}.seeds names {seed} twice; name it once.")
    for name in config.active.per_dataset:
        if name not in config.datasets:
            mistakes.append(f"config key active.per_dataset has '{name}', but may have {_any_of(config.datasets)}.")
    for name, strategy in config.strategies.items():
        if name == "start":
            mistakes.append("config key strategies.start is reserved for round 0; choose another id.")
        if name == "random" and strategy.method != "random":
            mistakes.append(
                f"config key strategies.random.method is '{strategy.method}', but must be 'random', with which the "
                "others are compared; give yours another id."
            )
        mistakes += _wrong_options(f"strategies.{name}", "method", strategy.method, strategy.options, *STRATEGY)
    smallest = 2 ** (len(config.backbone.filters) - 1)
    for name, dataset in config.datasets.items():
        if dataset.size < smallest:
            mistakes.append(
                f"config key datasets.{name}.size is {dataset.size}, but a backbone of {len(config.backbone.filters)} "
                f"levels needs at least {smallest}."
            )
        mistakes += _wrong_options(f"datasets.{name}", "format", dataset.format, dataset.options, *FORMAT)
    for name, model in config.models.items():
        key = f"models.{name}"
        if name.startswith("baseline_"):
            mistakes.append(f"config key {key} has a name for baselines; choose one that does not begin so.")
        mistakes += _wrong_options(key, "method", model.method, model.options, *METHOD)
        for dataset_id, override in model.per_dataset.items():
            if dataset_id not in config.datasets:
                mistakes.append(
                    f"config key {key}.per_dataset has '{dataset_id}', but may have {_any_of(config.datasets)}."
                )
            elif model.method in available(METHOD[0]):
                merged = {**model.options, **override.options}
                mistakes += _wrong_options(f"{key}.per_dataset.{dataset_id}", "method", model.method, merged, *METHOD)
    if mistakes:
        raise ConfigError("\n".join(mistakes))
    for dataset_id in config.datasets:
        for model_id in config.models:
            _training(config, dataset_id, model_id)
    for dataset_id in config.active.datasets:
        for model_id in config.active.models:
            if _training(config, dataset_id, model_id, active=True).steps is None:
                raise ConfigError(
                    "config key active.training must give the budget in steps, the same in every round; "
                    f"with {model_id} on {dataset_id} it is in epochs."
                )
    return config


FORMAT = ("data/formats", "read")
METHOD = ("models", "build")
STRATEGY = ("strategies", "pick")
ARCHIVE = re.compile(r"\.(zip|tar|tar\.gz|tgz)$")


def raw_data(config: Config, dataset: str) -> dict[str, str]:
    """Paths of the dataset's raw data by option name, found in `raw_folders`; ConfigError where one is missing."""
    entry = config.datasets[dataset]
    options = options_of(FORMAT[0], entry.format, FORMAT[1])(**entry.options)
    found = {}
    for name in raw_options(type(options)):
        if getattr(options, name) is None:
            continue
        value = str(entry.options[name])
        # From where the workflow runs, else from the checkout; as distributed, else unpacked.
        folders = [start / folder for folder in config.raw_folders for start in (Path(), CHECKOUT)]
        candidates = [folder / name for folder in folders for name in (value, ARCHIVE.sub("", value))]
        try:
            path = next((candidate for candidate in candidates if candidate.exists()), None)
        except OSError as error:
            raise ConfigError(
                f"config key datasets.{dataset}.options.{name} is '{value}', but {error.filename} cannot be opened "
                f"({error.strerror}); make its folder readable."
            ) from None
        if path is None:
            raise ConfigError(
                f"config key datasets.{dataset}.options.{name} is '{value}', but no such file or folder lies in "
                f"{_any_of(config.raw_folders)}; put it there or name its folder in raw_folders."
            )
        found[name] = path.as_posix()
    return found


def data_spec(config: Config, dataset: str, raw: dict[str, str]) -> str:
    """What `prepare` depends on: the raw data (a digest by option name), format, its options, geometry, split."""
    entry = config.datasets[dataset]
    options = options_of(FORMAT[0], entry.format, FORMAT[1])(**entry.options)
    values = options.model_dump(exclude=set(raw_options(type(options))))
    return _json(format=entry.format, options=values, size=entry.size, resize=entry.resize, split=entry.split, raw=raw)


def train_spec(config: Config, dataset: str, model: str, seed: int) -> str:
    """What one training depends on besides its data: method, options, backbone, training, seed."""
    return _train_spec(config, dataset, model, seed, _training(config, dataset, model))


def active_train_spec(config: Config, dataset: str, model: str, seed: int) -> str:
    """The same for the training of a round, which nothing validates: all rounds and strategies of a seed share it."""
    training = _training(config, dataset, model, active=True)
    unvalidated = training.model_copy(update={"validate_every": None, "patience": None})
    return _train_spec(config, dataset, model, seed, unvalidated)


def start_spec(config: Config, seed: int) -> str:
    """What the start set depends on besides the data."""
    return _json(start=config.active.start, seed=seed)


def pick_spec(config: Config, strategy: str, seed: int, round_: int) -> str:
    """What a round's picks depend on besides data, labelled images and network; `draws` where it is sampled."""
    entry = config.strategies[strategy]
    options = options_of(STRATEGY[0], entry.method, STRATEGY[1])(**entry.options)
    spec = {"method": entry.method, "options": options, "add": config.active.add, "seed": seed, "round": round_}
    if constant_of(STRATEGY[0], entry.method, "NEEDS") == "uncertainty":
        spec["draws"] = config.draws
    return _json(**spec)


def needs_network(config: Config, strategy: str) -> bool:
    """Whether the strategy asks the network of the round before, so that its rounds wait for trainings."""
    return constant_of(STRATEGY[0], config.strategies[strategy].method, "NEEDS") in ("uncertainty", "features")


def _train_spec(config: Config, dataset: str, model: str, seed: int, training: Training) -> str:
    entry = config.models[model]
    override = entry.per_dataset.get(dataset, ModelOverrides())
    options = options_of(METHOD[0], entry.method, METHOD[1])(**{**entry.options, **override.options})
    return _json(method=entry.method, options=options, backbone=config.backbone, training=training, seed=seed)


def sample_spec(config: Config, seed: int) -> str:
    """What sampling depends on besides data and weights: the number of draws and the seed."""
    return _json(draws=config.draws, seed=seed)


def tables_spec(config: Config, missing: list[dict[str, Any]]) -> str:
    """What the tables of the main grid depend on besides the scores: the cells in order, and what is missing.

    `threshold` is whether the baseline of the random threshold is among them, which needs a plain U-Net.
    """
    grid = config.grid
    cells = {"datasets": grid.datasets, "models": grid.models, "seeds": grid.seeds}
    threshold = any(config.models[name].method == "unet" for name in grid.models)
    return _json(statistics=config.statistics, **cells, threshold=threshold, missing=missing)


def active_tables_spec(config: Config, missing: list[dict[str, Any]]) -> str:
    """The same for active learning."""
    active = config.active
    cells = {"datasets": active.datasets, "models": active.models, "strategies": active.strategies}
    rounds = {"seeds": active.seeds, "rounds": active.rounds}
    return _json(confidence=config.statistics.confidence, **cells, **rounds, missing=missing)


def gpus(config: Config) -> int:
    """GPUs that one network job asks for: 1 if the config says `cuda`, or if `auto` will find one on this machine."""
    present = Path("/dev/nvidiactl").exists()
    return int(config.device == "cuda" or (config.device == "auto" and present))


def job_environment(checkout: str) -> dict[str, str]:
    """Environment variables with which `python -m segunc.<stage>` is this Python and the checkout's segunc."""
    path = [str(Path(sys.executable).parent), os.environ.get("PATH", "")]
    modules = [str(Path(checkout) / "src"), os.environ.get("PYTHONPATH", "")]
    return {"PATH": os.pathsep.join(path), "PYTHONPATH": os.pathsep.join(filter(None, modules))}


def figure_spec(config: Config) -> str:
    """What a figure of the main grid's tables depends on besides them: labels by id, in the grid's order."""
    datasets = {name: config.datasets[name].label for name in config.grid.datasets}
    models = {name: config.models[name].label for name in config.grid.models}
    return json.dumps({"labels": {**datasets, **models}})


def store_spec(config: Config, dataset: str) -> str:
    """The same for a figure of one dataset's store."""
    return json.dumps({"labels": {dataset: config.datasets[dataset].label}})


def images_spec(config: Config, dataset: str, missing: list[str]) -> str:
    """The same for a figure of one dataset's images; `missing` are the models without samples, `models` the others."""
    labels = {name: config.models[name].label for name in config.grid.models}
    models = [name for name in config.grid.models if name not in missing]
    labels = {dataset: config.datasets[dataset].label, **labels}
    return json.dumps({"labels": labels, "models": models, "missing": missing})


def active_figure_spec(config: Config) -> str:
    """The same for active learning: `labels` of `datasets`, `models` and `strategies`."""
    datasets = {name: config.datasets[name].label for name in config.active.datasets}
    return json.dumps({"labels": _active_labels(config, datasets)})


def picks_spec(config: Config, dataset: str, missing: list[str]) -> str:
    """The same for a figure of the first model's and seed's picks from one dataset; `missing` are the strategies
    without picks, `strategies` the others."""
    active = config.active
    labels = _active_labels(config, {dataset: config.datasets[dataset].label})
    strategies = [name for name in active.strategies if name not in missing]
    shown = {"model": active.models[0], "seed": active.seeds[0], "strategies": strategies}
    return json.dumps({"labels": labels, **shown, "missing": missing})


def _active_labels(config: Config, datasets: dict[str, str]) -> dict[str, dict[str, str]]:
    models = {name: config.models[name].label for name in config.active.models}
    strategies = {name: config.strategies[name].label for name in config.active.strategies}
    return {"datasets": datasets, "models": models, "strategies": strategies}


def learning_curves_spec(config: Config) -> str:
    """The same with the `confidence` of the bands."""
    return json.dumps({**json.loads(active_figure_spec(config)), "confidence": config.statistics.confidence})


def _training(config: Config, dataset: str, model: str, active: bool = False) -> Training:
    """The global training, overlaid by the dataset's, the model's, the model's there, and maybe active learning's."""
    entry = config.models[model]
    override = entry.per_dataset.get(dataset, ModelOverrides())
    values = config.training.model_dump()
    layers = [config.datasets[dataset].training, entry.training, override.training]
    if active:
        layers.append(config.active.training)
        layers.append(config.active.per_dataset.get(dataset, TrainingOverrides()))
    for layer in layers:
        said = layer.model_dump(exclude_unset=True)
        if isinstance(said.get("augmentation"), dict) and values["augmentation"] is not None:
            said["augmentation"] = {**values["augmentation"], **said["augmentation"]}
        values.update(said)
    try:
        return Training.model_validate(values)
    except ValidationError as error:
        reason = error.errors()[0]["msg"].removeprefix("Value error, ")
        keys = ["training", f"datasets.{dataset}.training", f"models.{model}.training"]
        keys += ["active.training"] if active else []
        raise ConfigError(f"config keys {', '.join(keys[:-1])} and {keys[-1]} do not fit together: {reason}.") from None


def _json(**values: Any) -> str:
    plain = {k: v.model_dump(mode="json") if isinstance(v, BaseModel) else v for k, v in values.items()}
    return json.dumps(plain, sort_keys=True)


def _wrong_selection(key: str, ids: list[str], catalogue: dict[str, Any]) -> list[str]:
    mistakes = []
    for position, name in enumerate(ids):
        if name not in catalogue:
            mistakes.append(f"config key {key}.{position} is '{name}', but may be {_any_of(catalogue)}.")
        elif name in ids[:position]:
            mistakes.append(f"config key {key} names '{name}' twice; name it once.")
    return mistakes


def _any_of(names: Any) -> str:
    return " or ".join(f"'{name}'" for name in names)


def _wrong_options(key: str, role: str, name: str, options: dict[str, Any], family: str, function: str) -> list[str]:
    if name not in available(family):
        return [f"config key {key}.{role} is '{name}', but may be {_any_of(available(family))}."]
    model = options_of(family, name, function)
    try:
        model.model_validate(options)
    except ValidationError as error:
        return _sentences(error, model, f"{key}.options.")
    return []


def _sentences(error: ValidationError, root: type[BaseModel], prefix: str = "") -> list[str]:
    """One sentence per mistake: the key, what stands there, what may stand there."""
    sentences = []
    for mistake in error.errors():
        path = [str(part) for part in mistake["loc"] if part != "[key]"]
        key = prefix + ".".join(path) if path else prefix.rstrip(".")
        if mistake["type"] == "extra_forbidden":
            known = _fields_at(root, path[:-1])
            sentences.append(f"config key {key} is unknown; known here: {', '.join(known)}.")
        elif mistake["type"] == "missing":
            sentences.append(f"config key {key} is missing; give it a value.")
        else:
            reason = mistake["msg"].removeprefix("Value error, ")
            reason = reason[0].lower() + reason[1:]
            sentences.append(f"config key {key or 'config'} is {mistake['input']!r}: {reason}.")
    return sentences


def _fields_at(model: Any, path: list[str]) -> list[str]:
    """Names of the fields of the model that `path` leads to from `model`, through dicts and optional fields."""
    for part in path:
        if isinstance(model, type) and issubclass(model, BaseModel) and part in model.model_fields:
            model = model.model_fields[part].annotation
        arguments = [a for a in getattr(model, "__args__", ()) if isinstance(a, type) and issubclass(a, BaseModel)]
        model = arguments[0] if arguments else model
    return sorted(model.model_fields)


def schema() -> dict[str, Any]:
    """JSON schema of the config, with the options of every raw format and method that segunc has."""
    result = Config.model_json_schema()
    result["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    for owner, role, (family, function) in (
        ("Dataset", "format", FORMAT),
        ("Model", "method", METHOD),
        ("Strategy", "method", STRATEGY),
    ):
        entry = result["$defs"][owner]
        entry["properties"][role]["enum"] = available(family)
        entry["allOf"] = [
            {
                "if": {"properties": {role: {"const": name}}},
                "then": {"properties": {"options": options_of(family, name, function).model_json_schema()}},
            }
            for name in available(family)
        ]
    return result


if __name__ == "__main__":
    print(json.dumps(schema(), indent=2))
