"""The config: what is refused, in which words, and what each cell's spec depends on."""

import copy
import json
from pathlib import Path

import pytest
import yaml

from segunc.config import schema as settings

ROOT = Path(__file__).parents[1]


@pytest.fixture
def raw() -> dict:
    return yaml.safe_load((ROOT / "config.yaml").read_text())


def changed(raw: dict, key: str, value: object) -> dict:
    result = copy.deepcopy(raw)
    *path, last = key.split(".")
    target = result
    for part in path:
        target = target[part]
    target[last] = value
    return result


def merged(raw: dict, overlay: dict) -> dict:
    """What Snakemake makes of config.yaml and --configfile."""
    result = dict(raw)
    for key, value in overlay.items():
        result[key] = merged(raw[key], value) if isinstance(value, dict) and key in raw else value
    return result


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("gird", {}, "config key gird is unknown; known here: active, backbone,"),
        ("training.stepz", 5, "config key training.stepz is unknown; known here: annotators, augmentation,"),
        (
            "training.augmentation",
            {"flop": True},
            "config key training.augmentation.flop is unknown; known here: flip,",
        ),
        (
            "datasets.phantom_lung.sise",
            5,
            "config key datasets.phantom_lung.sise is unknown; known here: format, label,",
        ),
        ("models.unet.training", {"lr": 1}, "config key models.unet.training.lr is unknown; known here: annotators,"),
        (
            "datasets.phantom_lung.size",
            "big",
            "config key datasets.phantom_lung.size is 'big': input should be a valid int",
        ),
        ("training.learning_rate", -1, "config key training.learning_rate is -1: input should be greater than 0"),
        ("device", "tpu", "config key device is 'tpu': input should be 'auto', 'cpu' or 'cuda'"),
        (
            "grid.datasets",
            ["mars"],
            "config key grid.datasets.0 is 'mars', but may be 'phantom_lung' or 'phantom_skin'",
        ),
        ("grid.models", ["unet", "vit"], "config key grid.models.1 is 'vit', but may be 'unet' or 'ensemble'"),
        ("grid.models", ["unet", "unet"], "config key grid.models names 'unet' twice"),
        ("grid.seeds", [1, 1], "config key grid.seeds names 1 twice"),
        ("grid.seeds", [], "config key grid.seeds is []: list should have at least 1 item"),
        (
            "datasets.phantom_lung.format",
            "nifti",
            "config key datasets.phantom_lung.format is 'nifti', but may be 'folder' or ",
        ),
        ("models.unet.method", "vit", "config key models.unet.method is 'vit', but may be 'ensemble' or 'mc_dropout'"),
        (
            "models.prob_unet.options",
            {"gamma": 1},
            "config key models.prob_unet.options.gamma is unknown; known here: beta",
        ),
        (
            "models.prob_unet.options",
            {"beta": "x"},
            "config key models.prob_unet.options.beta is 'x': input should be a valid",
        ),
        ("datasets.lidc.options", {}, "config key datasets.lidc.options.slices is missing"),
        ("models.unet.per_dataset", {"mars": {}}, "config key models.unet.per_dataset has 'mars', but may have"),
        ("training.epochs", 3, "config key training is {'steps'"),
        (
            "models.unet.training",
            {"epochs": 3},
            "config keys training, datasets.phantom_lung.training and models.unet.tr",
        ),
        ("datasets.phantom_lung.split", {"train": 0.9}, "train + val + test must be 1, not 1.2"),
        (
            "datasets.lidc.training",
            {"learning_rate": -1},
            "config key datasets.lidc.training.learning_rate is -1: input sh",
        ),
        (
            "models.unet.training",
            {"batch_size": None},
            "config key models.unet.training.batch_size is None: input should",
        ),
        ("training.learning_rate", float("inf"), "config key training.learning_rate is inf: input should be a finite"),
        (
            "datasets.phantom_lung.size",
            4,
            "config key datasets.phantom_lung.size is 4, but a backbone of 4 levels needs",
        ),
        (
            "datasets.phantom_lung.split",
            {"train": 1, "val": 0, "test": 0},
            "split.train is 1: input should be less than 1",
        ),
        (
            "models.ensemble.options",
            {"members": 3},
            "config key models.ensemble.options.members is 3: input should be 2, 4",
        ),
        (
            "models.mc_dropout.options",
            {"dropout": 1.0},
            "models.mc_dropout.options.dropout is 1.0: input should be less",
        ),
        (
            "models.baseline_x",
            {"label": "x", "method": "unet"},
            "config key models.baseline_x has a name for baselines",
        ),
        (
            "datasets.9x",
            {"label": "x", "format": "phantom", "size": 8},
            "config key datasets.9x is '9x': string should",
        ),
        ("draws", 10, "config key draws is 10: input should be a multiple of 16"),
        ("active.strategies", ["luck"], "config key active.strategies.0 is 'luck', but may be 'random' or 'entropy'"),
        ("active.models", ["vit"], "config key active.models.0 is 'vit', but may be 'unet' or 'ensemble'"),
        ("active.seeds", [1, 1], "config key active.seeds names 1 twice"),
        ("active.add", 0, "config key active.add is 0: input should be greater than 0"),
        (
            "strategies.entropy_mean.options",
            {"treshold": 0.1},
            "config key strategies.entropy_mean.options.treshold is unknown; known here: threshold",
        ),
        (
            "strategies.power_bald.options",
            {"beta": "x"},
            "config key strategies.power_bald.options.beta is 'x': input should be a valid number",
        ),
        (
            "strategies.random.method",
            "luck",
            "config key strategies.random.method is 'luck', but may be 'bald' or 'cor",
        ),
        (
            "strategies.start",
            {"label": "Start", "method": "random"},
            "config key strategies.start is reserved for round 0",
        ),
        (
            "active.training",
            {"steps": None, "epochs": 3},
            "config key active.training must give the budget in steps, the same in every round; with unet on",
        ),
        (
            "active.training",
            {"steps": 5, "epochs": 3},
            "config keys training, datasets.phantom_lung.training, models.unet.training and active.training do not fit",
        ),
    ],
)
def test_mistakes_are_named_with_key_value_and_choice(raw: dict, key: str, value: object, sentence: str) -> None:
    with pytest.raises(settings.ConfigError) as error:
        settings.load(changed(raw, key, value))
    assert sentence in str(error.value)


def test_every_mistake_is_named_at_once(raw: dict) -> None:
    with pytest.raises(settings.ConfigError) as error:
        settings.load({**raw, "colour": 1, "shape": 2})
    assert [line.split()[2] for line in str(error.value).splitlines()] == ["colour", "shape"]


def test_missing_raw_data_names_key_and_folders(raw: dict) -> None:
    config = settings.load({**raw, "raw_folders": ["nowhere"]})
    with pytest.raises(settings.ConfigError, match=r"datasets\.lidc\.options\.slices is 'LIDC.*lies in 'nowhere'"):
        settings.raw_data(config, "lidc")
    assert settings.raw_data(config, "phantom_lung") == {}


def test_raw_data_where_nobody_may_look(raw: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> bool:
        raise PermissionError(13, "Permission denied", str(path))

    config = settings.load(raw | {"raw_folders": [str(tmp_path)]})
    monkeypatch.setattr(Path, "exists", refuse)
    sentence = "^config key datasets.lidc.options.slices is 'LIDC-IDRI-slices.zip', but .* cannot be opened "
    with pytest.raises(settings.ConfigError, match=sentence + r"\(Permission denied\); make its folder readable.$"):
        settings.raw_data(config, "lidc")


def test_raw_data_is_found_as_distributed_and_unpacked(raw: dict, tmp_path: Path) -> None:
    config = settings.load({**raw, "raw_folders": ["nowhere", str(tmp_path)]})
    (tmp_path / "LIDC-IDRI-slices").mkdir()
    assert settings.raw_data(config, "lidc") == {"slices": f"{tmp_path.as_posix()}/LIDC-IDRI-slices"}
    (tmp_path / "LIDC-IDRI-slices.zip").touch()
    assert settings.raw_data(config, "lidc") == {"slices": f"{tmp_path.as_posix()}/LIDC-IDRI-slices.zip"}


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz", ".tgz"])
def test_raw_data_of_a_tar_is_found_unpacked(raw: dict, tmp_path: Path, suffix: str) -> None:
    raw["datasets"]["lidc"]["options"]["slices"] = f"release.v1{suffix}"
    config = settings.load({**raw, "raw_folders": [str(tmp_path)]})
    (tmp_path / "release.v1").mkdir()
    assert settings.raw_data(config, "lidc") == {"slices": f"{tmp_path.as_posix()}/release.v1"}


def test_raw_data_that_may_be_left_out(raw: dict, tmp_path: Path) -> None:
    options = {"data": "mine", "channels": 1, "intensity": [-1000, 400]}
    raw["datasets"]["mine"] = {"label": "Mine", "format": "folder", "size": 64, "options": options}
    (tmp_path / "mine").mkdir()
    raw = {**raw, "raw_folders": [str(tmp_path)]}
    without = settings.load(raw)
    assert settings.raw_data(without, "mine") == {"data": f"{tmp_path.as_posix()}/mine"}

    options["patients"] = "patients.csv"
    config = settings.load(raw)
    with pytest.raises(
        settings.ConfigError, match=r"config key datasets.mine.options.patients is 'patients.csv', but no"
    ):
        settings.raw_data(config, "mine")
    (tmp_path / "patients.csv").touch()
    assert settings.raw_data(config, "mine")["patients"] == f"{tmp_path.as_posix()}/patients.csv"
    specs = [settings.data_spec(each, "mine", {}) for each in (without, config)]
    assert specs[0] == specs[1] and json.loads(specs[0])["options"] == {"channels": 1, "intensity": [-1000.0, 400.0]}


def test_a_gpu_is_asked_for_where_the_config_asks(raw: dict) -> None:
    assert settings.gpus(settings.load({**raw, "device": "cuda"})) == 1
    assert settings.gpus(settings.load({**raw, "device": "cpu"})) == 0


@pytest.mark.parametrize("preset", sorted((ROOT / "workflow/presets").glob("*.yaml")), ids=lambda path: path.stem)
def test_presets_are_valid(raw: dict, preset: Path) -> None:
    config = settings.load(merged(raw, yaml.safe_load(preset.read_text())))
    for dataset in config.grid.datasets:
        for model in config.grid.models:
            assert json.loads(settings.train_spec(config, dataset, model, 0))["training"]["batch_size"] > 0


def test_paper_preset_resolves_to_the_published_learning_rates(raw: dict) -> None:
    config = settings.load(merged(raw, yaml.safe_load((ROOT / "workflow/presets/paper.yaml").read_text())))
    rates = {
        (dataset, model): json.loads(settings.train_spec(config, dataset, model, 0))["training"]["learning_rate"]
        for dataset in ("lidc", "isic18")
        for model in ("unet", "ensemble", "mc_dropout", "prob_unet")
    }
    slow = {("isic18", "mc_dropout"), ("isic18", "prob_unet")}
    assert rates == {cell: 1e-5 if cell in slow else 1e-4 for cell in rates}


def test_schema_for_editors_is_in_step() -> None:
    stored = (ROOT / "workflow/schemas/config.schema.json").read_text()
    hint = "run: python -m segunc.config > workflow/schemas/config.schema.json"
    assert json.loads(stored) == settings.schema(), hint


def test_specs_hold_what_results_depend_on_and_nothing_else(raw: dict) -> None:
    def specs(config: settings.Config) -> dict[str, str]:
        return {
            "data": settings.data_spec(config, "phantom_lung", {}),
            "lung": settings.train_spec(config, "phantom_lung", "prob_unet", 0),
            "skin": settings.train_spec(config, "phantom_skin", "prob_unet", 0),
            "unet": settings.train_spec(config, "phantom_lung", "unet", 0),
            "sample": settings.sample_spec(config, 0),
            "tables": settings.tables_spec(config, []),
            "figure": settings.figure_spec(config),
            "images": settings.images_spec(config, "phantom_skin", []),
            "start": settings.start_spec(config, 0),
            "pick": settings.pick_spec(config, "power_bald", 0, 1),
            "active": settings.active_train_spec(config, "phantom_lung", "unet", 0),
        }

    before = specs(settings.load(raw))

    def touched(key: str, value: object) -> set[str]:
        after = specs(settings.load(changed(raw, key, value)))
        return {name for name in before if before[name] != after[name]}

    assert touched("models.unet.label", "Net") == {"figure", "images"}
    assert touched("datasets.phantom_lung.label", "Lung") == {"figure"}
    assert touched("threads", 2) == set()
    assert touched("device", "cpu") == set()
    assert touched("raw_folders", ["elsewhere"]) == set()
    assert touched("grid.seeds", [0, 1]) == {"tables"}
    assert touched("active.seeds", [0, 1]) == set()
    assert touched("active.rounds", 3) == set()
    assert touched("strategies.power_bald.label", "Power") == set()
    assert touched("active.start", 5) == {"start"}
    assert touched("active.add", 5) == {"pick"}
    assert touched("strategies.power_bald.options", {"beta": 2}) == {"pick"}
    assert touched("active.training.steps", 5) == {"active"}
    assert touched("training.patience", 5) == {"lung", "skin", "unet"}
    assert touched("training.validate_every", 5) == {"lung", "skin", "unet"}
    assert touched("datasets.phantom_lung.size", 32) == {"data"}
    assert touched("datasets.phantom_lung.training", {"batch_size": 8}) == {"lung", "unet", "active"}
    assert touched("models.prob_unet.options.beta", 0.1) == {"lung", "skin"}
    assert touched("models.prob_unet.per_dataset", {"phantom_skin": {"options": {"beta": 0.1}}}) == {"skin"}
    assert touched("training.gradient_clip", 1) == {"lung", "skin", "unet", "active"}
    assert touched("training.augmentation", None) == {"lung", "skin", "unet", "active"}
    assert touched("draws", 32) == {"sample", "pick"}
    assert touched("statistics.resamples", 10) == {"tables"}


def test_which_strategies_ask_the_network(raw: dict) -> None:
    config = settings.load(raw)
    asking = {name for name in config.strategies if settings.needs_network(config, name)}
    assert asking == {"entropy", "entropy_mean", "bald", "power_bald", "coreset"}


def test_layers_of_training_win_in_order(raw: dict) -> None:
    raw["training"]["augmentation"] = {"rotation": 10}
    raw["datasets"]["phantom_lung"]["training"] = {"batch_size": 4, "augmentation": {"flip": False}}
    raw["models"]["unet"]["training"] = {"batch_size": 5, "learning_rate": 0.1}
    raw["models"]["unet"]["per_dataset"] = {"phantom_lung": {"training": {"learning_rate": 0.2}}}
    training = json.loads(settings.train_spec(settings.load(raw), "phantom_lung", "unet", 0))["training"]
    assert (training["batch_size"], training["learning_rate"]) == (5, 0.2)
    assert training["augmentation"] == {"flip": False, "rotation": 10.0, "scale": [0.9, 1.1]}
