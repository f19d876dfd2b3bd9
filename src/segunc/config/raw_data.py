"""Finding a dataset's raw data, and digests that show whether it has changed."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from segunc.catalogue.options import options_of, raw_options
from segunc.config.load import ConfigError, any_of
from segunc.config.schema import FORMAT, Config
from segunc.data.fingerprint import remembered_digest

CHECKOUT = Path(__file__).parents[3]
ARCHIVE = re.compile(r"\.(zip|tar|tar\.gz|tgz)$")
SEED = re.compile(r"seed(0|[1-9]\d*)")
WILDCARD = re.compile(r"\{\s*[.\w]+\s*(,.*)?\}")
"""What Snakemake replaces in the path of any input; it knows no way to escape it."""


def raw_data(config: Config, dataset: str) -> dict[str, str]:
    """Paths of the dataset's raw data by option name, found in `raw_folders`.

    Of an option with several, the second is called `<name>-2`, and so on (`segunc.data.preparation.by_option`). Raises
    ConfigError if one is missing, cannot be reached, or is called like a wildcard of Snakemake.
    """
    entry = config.datasets[dataset]
    options = options_of(FORMAT[0], entry.format, FORMAT[1])(**entry.options)
    found = {}
    for name in raw_options(type(options)):
        given = entry.options.get(name)
        for number, value in enumerate(given if isinstance(given, list) else [given] if given else [], start=1):
            key = f"datasets.{dataset}.options.{name}" + (f".{number - 1}" if isinstance(given, list) else "")
            found[name if number == 1 else f"{name}-{number}"] = _found(config, key, str(value), config.raw_folders)
    return found


def predictions(config: Config, dataset: str, model: str, seed: int) -> str:
    """Path of a model's predictions that were made elsewhere, in the working directory or raw_folders.

    If the model's folder has folders called like datasets, that is the one of this dataset, and if there are folders
    `seed0`, `seed1`, ... in it, the one of this seed. Raises ConfigError as `raw_data`.
    """
    key = f"models.{model}.options.folder"
    path = Path(_found(config, key, str(config.models[model].options["folder"]), [".", *config.raw_folders]))
    path = _within(key, path, config.datasets.__contains__, dataset, "dataset")
    return _within(key, path, SEED.fullmatch, f"seed{seed}", "seed").as_posix()


def predictions_digest(config: Config, dataset: str, model: str, seed: int, memory: Path) -> str:
    """SHA-256 of the content of these predictions, as `raw_digests`."""
    return remembered_digest(Path(predictions(config, dataset, model, seed)), memory)


def _within(key: str, path: Path, is_one: Callable[[str], object], name: str, what: str) -> Path:
    """The folder `name` of a folder that has one for each `what`, or the folder itself if it has none of them."""
    found = sorted(folder.name for folder in path.glob("*") if is_one(folder.name))
    if not found:
        return path
    if name not in found:
        raise ConfigError(
            f"config key {key} is '{path}', which has {', '.join(found)}, but no {name}; add it, or remove the {what} "
            f"from grid.{what}s."
        )
    return path / name


def _found(config: Config, key: str, value: str, places: Sequence[str]) -> str:
    """The path of the file or folder `value` that a config key names, in the first of the places that has it."""
    # Relative to the working directory, else to the checkout; as distributed, else unpacked.
    folders = [start / folder for folder in places for start in (Path(), CHECKOUT)]
    candidates = [folder / name for folder in folders for name in (value, ARCHIVE.sub("", value))]
    try:
        path = next((candidate for candidate in candidates if candidate.exists()), None)
    except OSError as error:
        raise ConfigError(
            f"config key {key} is '{value}', but {error.filename} cannot be opened ({error.strerror}); make its folder "
            "readable."
        ) from None
    if path is None:
        raise ConfigError(
            f"config key {key} is '{value}', but no such file or folder is in {any_of(places)}; put it "
            "there or add its folder to raw_folders."
        )
    if wildcard := WILDCARD.search(path.as_posix()):
        raise ConfigError(
            f"config key {key} is '{value}', but Snakemake takes {wildcard[0]} in the path {path} for a wildcard; "
            "rename the file or folder, or link to it by another name."
        )
    return path.as_posix()


def raw_digests(config: Config, dataset: str, memory: Path) -> dict[str, str]:
    """SHA-256 of the raw data's content by option name; `memory` is a file that caches digests between runs."""
    return {name: remembered_digest(Path(path), memory) for name, path in raw_data(config, dataset).items()}
