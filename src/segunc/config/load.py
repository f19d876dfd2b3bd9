"""Loading the config: from the merged YAML to typed classes, with one sentence per mistake."""

import unicodedata
from typing import Any

from pydantic import BaseModel, ValidationError

from segunc.catalogue.options import PACKAGE, available, has_method, options_of
from segunc.config.acquisition import NEEDS, needs
from segunc.config.schema import DEVICES, FORMAT, METHOD, STRATEGY, Config, ModelOverrides, Training, TrainingOverrides
from segunc.runtime.errors import UserError

MOVED = {"threads": "set the threads of a rule with snakemake --set-threads, such as --set-threads train=4"}
"""Top-level keys of earlier versions, and what to do instead."""


class ConfigError(UserError):
    """Invalid configuration: one sentence per mistake."""


def load_with_device(raw: dict[str, Any]) -> tuple[str, Config]:
    """The key `device` ("auto", "cpu" or "cuda"), which is not part of the experiment, and the validated config."""
    rest = dict(raw)
    device = rest.pop("device", "auto")
    if device not in DEVICES:
        raise ConfigError(f"config key device is '{device}', but must be {any_of(DEVICES)}.")
    return device, load(rest)


def load(raw: dict[str, Any]) -> Config:
    """Validates a merged config and returns it typed; raises ConfigError with one sentence per mistake."""
    try:
        config = Config.model_validate(raw)
    except ValidationError as error:
        raise ConfigError("\n".join(_sentences(error, Config))) from None
    mistakes = _booleans(raw, config.model_dump(), "")
    for family in ("datasets", "models", "strategies"):
        mistakes += _equal_labels(config, family)
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
            mistakes.append(f"config key {owner}.seeds lists {seed} twice; remove one.")
    for name in config.active.per_dataset:
        if name not in config.datasets:
            mistakes.append(f"config key active.per_dataset.{name} is unknown; it must be {any_of(config.datasets)}.")
    for name, strategy in config.strategies.items():
        if name == "start":
            mistakes.append("config key strategies.start is reserved for round 0; choose another id.")
        if name == "random" and strategy.method != "random":
            mistakes.append(
                f"config key strategies.random.method is '{strategy.method}', but must be 'random', because the "
                "other strategies are compared with it; give yours another id."
            )
        mistakes += _wrong_options(f"strategies.{name}", "method", strategy.method, strategy.options, *STRATEGY)
        if strategy.method in available(STRATEGY[0]) and (needed := needs(config, name)) not in NEEDS:
            file = PACKAGE / STRATEGY[0] / f"{strategy.method}.py"
            mistakes.append(f"{file} has the constant NEEDS = {needed!r}, but it must be {any_of(NEEDS)}; change it.")
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
        if name == "baselines" or name.startswith("baseline_"):
            mistakes.append(f"config key {key} is an id reserved for baselines; choose another one.")
        wrong = _wrong_options(key, "method", model.method, model.options, *METHOD)
        mistakes += wrong or _wrong_without_training(name, config)
        for dataset_id, override in model.per_dataset.items():
            if dataset_id not in config.datasets:
                mistakes.append(
                    f"config key {key}.per_dataset.{dataset_id} is unknown; it must be {any_of(config.datasets)}."
                )
            elif model.method in available(METHOD[0]):
                merged = {**model.options, **override.options}
                mistakes += _wrong_options(f"{key}.per_dataset.{dataset_id}", "method", model.method, merged, *METHOD)
    mistakes = mistakes or [*_untrained_in_rounds(config), *_without_features(config)]
    if mistakes:
        raise ConfigError("\n".join(mistakes))
    trained = _trained(config)
    trainings = [(dataset, model, False) for dataset in config.datasets for model in trained]
    trainings += [(dataset, model, True) for dataset in config.active.datasets for model in config.active.models]
    for dataset_id, model_id, is_active in trainings:
        training = training_of(config, dataset_id, model_id, is_active)
        if is_active and training.steps is None:
            raise ConfigError(
                "config key active.training must give the budget in steps, the same in every round; "
                f"with {model_id} on {dataset_id} it is in epochs."
            )
        # A batch is never cut short: it may span two passes over the images.
        single = training.batch_size == 1 and config.datasets[dataset_id].size < 2 * smallest
        if single and config.backbone.normalisation == "batch":
            raise ConfigError(
                "config key backbone.normalisation is 'batch', which needs more than one value per channel, but "
                f"{model_id} on {dataset_id} has batch_size 1 and one pixel at the last level; set batch_size to 2 "
                f"or more, the dataset's size to {2 * smallest} or more, or backbone.normalisation to 'none'."
            )
    return config


def training_of(config: Config, dataset: str, model: str, active: bool = False) -> Training:
    """How a model is trained on a dataset: the global training with its overrides.

    Later ones win: the dataset's, the model's, the model's on this dataset, and with `active` those of active learning.
    Raises ConfigError if the result is inconsistent.
    """
    entry = config.models[model]
    override = entry.per_dataset.get(dataset, ModelOverrides())
    values = config.training.model_dump()
    layers = [config.datasets[dataset].training, entry.training, override.training]
    if active:
        layers.append(config.active.training)
        layers.append(config.active.per_dataset.get(dataset, TrainingOverrides()))
    for layer in layers:
        given = layer.model_dump(exclude_unset=True)
        if isinstance(given.get("augmentation"), dict) and values["augmentation"] is not None:
            given["augmentation"] = {**values["augmentation"], **given["augmentation"]}
        values.update(given)
    try:
        return Training.model_validate(values)
    except ValidationError as error:
        reason = error.errors()[0]["msg"].removeprefix("Value error, ")
        keys = ["training", f"datasets.{dataset}.training", f"models.{model}.training"]
        keys += ["active.training"] if active else []
        raise ConfigError(f"config keys {', '.join(keys[:-1])} and {keys[-1]} are inconsistent: {reason}.") from None


def _booleans(raw: Any, read: Any, key: str) -> list[str]:
    """Mistakes where YAML's yes, no, on or off stands for a number, which pydantic reads as 1 or 0."""
    if isinstance(raw, bool) and not isinstance(read, bool):
        return [f"config key {key} is {raw}, but must not be a boolean; correct it."]
    children = raw.items() if isinstance(raw, dict) else enumerate(raw) if isinstance(raw, list) else ()
    return [
        mistake for name, value in children for mistake in _booleans(value, read[name], f"{key}.{name}".lstrip("."))
    ]


def _equal_labels(config: Config, family: str) -> list[str]:
    """Entries of a catalogue that figures could show together, but that look the same there."""
    mistakes = []
    catalogue = getattr(config, family)
    seen: dict[str, str] = {}
    for name in {**dict.fromkeys(getattr(config.grid, family, [])), **dict.fromkeys(getattr(config.active, family))}:
        if name not in catalogue:
            continue
        label = catalogue[name].label
        other = seen.setdefault(" ".join(unicodedata.normalize("NFKC", label).split()), name)
        if other != name:
            mistakes.append(f"config key {family}.{name}.label is '{label}', the label of {other} too; change one.")
    return mistakes


def _wrong_selection(key: str, ids: list[str], catalogue: dict[str, Any]) -> list[str]:
    mistakes = []
    for position, name in enumerate(ids):
        if name not in catalogue:
            mistakes.append(f"config key {key}.{position} is '{name}', but must be {any_of(catalogue)}.")
        elif name in ids[:position]:
            mistakes.append(f"config key {key} lists '{name}' twice; remove one.")
    return mistakes


def _trained(config: Config) -> list[str]:
    """The models with a training of their own."""
    return [name for name, model in config.models.items() if model.trained]


def _wrong_without_training(name: str, config: Config) -> list[str]:
    """Mistakes of a model with valid options that has no training of its own."""
    model = config.models[name]
    if model.trained:
        return []
    if model.of and model.of not in (trained := _trained(config)):
        return [
            f"config key models.{name}.options.of is '{model.of}', but must be a model with a training of its own: "
            f"{any_of(trained)}."
        ]
    given: dict[str, Any] = {"training": model.training.model_fields_set, "per_dataset": model.per_dataset}
    if model.imported:
        why, instead = "its predictions are files", "remove it"
        given["draws"] = model.draws
    else:
        why, instead = f"it uses the trained network of {model.of}", f"remove it, or set it for models.{model.of}"
    return [
        f"config key models.{name}.{key} is set, but {name} has no training of its own: {why}; {instead}."
        for key, value in given.items()
        if value
    ]


def _untrained_in_rounds(config: Config) -> list[str]:
    """Models of active learning without a training of their own: each round trains its model on images it chose."""
    return [
        f"config key active.models lists {name}, which has no training of its own, but each round trains its model; "
        f"{f'list {of} instead' if (of := config.models[name].of) else 'remove it'}."
        for name in config.active.models
        if not config.models[name].trained
    ]


def _without_features(config: Config) -> list[str]:
    """Models of active learning that lack what one of its strategies needs of them."""
    asking = [name for name in config.active.strategies if needs(config, name) == "features"]
    methods = {name: config.models[name].method for name in config.active.models} if asking else {}
    return [
        f"config key active.models lists {name}, but {PACKAGE / METHOD[0] / method}.py has no method features(images), "
        f"which {' and '.join(asking)} of active.strategies asks for; define it, or leave out the model or the "
        "strategy."
        for name, method in methods.items()
        if not has_method(METHOD[0], method, "features")
    ]


def any_of(names: Any) -> str:
    return " or ".join(f"'{name}'" for name in names)


def _wrong_options(key: str, role: str, name: str, options: dict[str, Any], family: str, function: str) -> list[str]:
    if name not in available(family):
        return [f"config key {key}.{role} is '{name}', but must be {any_of(available(family))}."]
    model = options_of(family, name, function)
    try:
        read = model.model_validate(options)
    except ValidationError as error:
        return _sentences(error, model, f"{key}.options.")
    return _booleans(options, read.model_dump(), f"{key}.options")


def _sentences(error: ValidationError, root: type[BaseModel], prefix: str = "") -> list[str]:
    """One sentence per mistake: the key, its value, and what is allowed."""
    sentences = []
    for mistake in error.errors():
        path = [str(part) for part in mistake["loc"] if part != "[key]"]
        key = prefix + ".".join(path) if path else prefix.rstrip(".")
        if mistake["type"] == "string_type" and mistake["loc"][-1] == "[key]":
            parent = prefix + ".".join(path[:-1])
            sentences.append(f"config key {parent} has the key {mistake['input']!r}, which is not text; quote it.")
            continue
        if mistake["type"] == "extra_forbidden" and key in MOVED:
            sentences.append(f"config key {key} is unknown; {MOVED[key]}.")
        elif mistake["type"] == "extra_forbidden":
            known = _fields_at(root, path[:-1])
            if root is Config and len(path) == 1:
                known = sorted([*known, "device"])
            sentences.append(f"config key {key} is unknown; known here: {', '.join(known)}.")
        elif mistake["type"] == "missing":
            sentences.append(f"config key {key} is missing; give it a value.")
        else:
            reason = mistake["msg"].removeprefix("Value error, ")
            reason = reason[0].lower() + reason[1:]
            sentences.append(f"config key {key or 'config'} is {mistake['input']!r}: {reason}.")
    return sentences


def _fields_at(model: Any, path: list[str]) -> list[str]:
    """Names of the fields of the model at `path` below `model`, through dicts and optional fields."""
    for part in path:
        if isinstance(model, type) and issubclass(model, BaseModel) and part in model.model_fields:
            model = model.model_fields[part].annotation
        arguments = [a for a in getattr(model, "__args__", ()) if isinstance(a, type) and issubclass(a, BaseModel)]
        model = arguments[0] if arguments else model
    return sorted(model.model_fields)
