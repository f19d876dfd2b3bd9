"""Loading the config: which mistakes are reported, in which words, and how overrides of the training combine."""

import json

import pytest
import yaml
from helpers.config import changed, merged, read_config
from helpers.workflow import ROOT

from segunc.cells import Cell
from segunc.config import specs
from segunc.config.load import ConfigError, load, load_with_device
from segunc.config.schema import Config
from segunc.runtime.errors import UserError

PRESETS = sorted((ROOT / "workflow/presets").glob("*.yaml"))


@pytest.fixture
def raw() -> dict:
    return read_config()


def training(config: Config, dataset: str, model: str) -> dict:
    return json.loads(specs.train(config, Cell(dataset, model, seed=0)))["training"]


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("gird", {}, "config key gird is unknown; known here: active, backbone, datasets, device, draws,"),
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
        (
            "grid.datasets",
            ["mars"],
            "config key grid.datasets.0 is 'mars', but must be 'phantom_lung' or 'phantom_skin'",
        ),
        ("grid.models", ["unet", "vit"], "config key grid.models.1 is 'vit', but must be 'unet' or 'ensemble'"),
        ("grid.models", ["unet", "unet"], "config key grid.models lists 'unet' twice"),
        ("grid.seeds", [1, 1], "config key grid.seeds lists 1 twice"),
        ("grid.seeds", [], "config key grid.seeds is []: list should have at least 1 item"),
        (
            "datasets.phantom_lung.format",
            "nifti",
            "config key datasets.phantom_lung.format is 'nifti', but must be 'folder' or ",
        ),
        ("models.unet.method", "vit", "config key models.unet.method is 'vit', but must be '"),
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
        (
            "models.unet.per_dataset",
            {"mars": {}},
            "config key models.unet.per_dataset.mars is unknown; it must be 'phantom_lung' or",
        ),
        ("training.epochs", 3, "config key training is {'steps'"),
        (
            "models.unet.training",
            {"epochs": 3},
            "config keys training, datasets.phantom_lung.training and models.unet.tr",
        ),
        (
            "datasets.phantom_lung.split",
            {"train": 0.9, "val": 0.15, "test": 0.15},
            "train + val + test must be 1, not 1.2",
        ),
        ("datasets.phantom_lung.split", {"train": 0.8, "test": 0.2}, "give either folds, or train, val and test"),
        ("datasets.phantom_lung.split", {"folds": 4, "test": 0.2}, "give either folds, or train, val and test"),
        ("datasets.phantom_lung.split", {"seed": 1}, "give either folds, or train, val and test"),
        ("datasets.phantom_lung.split", {"folds": 2}, "split.folds is 2: input should be greater than or equal to 3"),
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
            2,
            "config key datasets.phantom_lung.size is 2, but a backbone of 3 levels needs",
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
        *(
            (
                f"models.{name}",
                {"label": "x", "method": "unet"},
                f"config key models.{name} is an id reserved for baselines; choose another one.",
            )
            for name in ("baseline_x", "baselines")
        ),
        ("models", {"unet+levels": {"label": "x", "method": "unet"}}, "config key models.unet+levels"),
        (
            "active.per_dataset",
            {"mars": {}},
            "config key active.per_dataset.mars is unknown; it must be 'phantom_lung'",
        ),
        ("threads", 8, "config key threads is unknown; set the threads of a rule with snakemake --set-threads"),
        (
            "datasets.9x",
            {"label": "x", "format": "phantom", "size": 8},
            "config key datasets.9x is '9x': string should",
        ),
        ("draws", 0, "config key draws is 0: input should be greater than 0"),
        ("models.unet.draws", 5000, "config key models.unet.draws is 5000: input should be less than or equal to 4096"),
        ("active.strategies", ["luck"], "config key active.strategies.0 is 'luck', but must be 'random' or 'entropy'"),
        ("active.models", ["vit"], "config key active.models.0 is 'vit', but must be 'unet' or 'ensemble'"),
        ("active.seeds", [1, 1], "config key active.seeds lists 1 twice"),
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
            "config key strategies.random.method is 'luck', but must be 'bald' or 'cor",
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
            "config keys training, datasets.phantom_skin.training, models.unet.training and active.training are incon",
        ),
    ],
)
def test_mistakes_are_named_with_key_value_and_choice(raw: dict, key: str, value: object, sentence: str) -> None:
    with pytest.raises(ConfigError) as error:
        load(changed(raw, key, value))
    assert sentence in str(error.value)


BLANK, CONTROL = "is blank; give it a name", "has a line break or another control character; write it in one line"


@pytest.mark.parametrize("family", ["datasets", "models", "strategies"])
@pytest.mark.parametrize(
    ("label", "fault"),
    [
        ("", BLANK),
        (" ", BLANK),
        *((f"a{c}b", CONTROL) for c in "\n\r\t\0\x1b\x85\u2028"),
        ("x" * 101, "at most 100 ch"),
    ],
)
def test_labels_that_cannot_be_drawn(raw: dict, family: str, label: str, fault: str) -> None:
    name = next(iter(raw[family]))
    with pytest.raises(ConfigError, match=rf"^config key {family}.{name}.label is .*{fault}.*[.]$"):
        load(changed(raw, f"{family}.{name}.label", label))


@pytest.mark.parametrize("label", ["<b>$x_1^2$</b> {} \"'\\", "肺结节", "x" * 100, "é e\u0301 \u200d 😀", "true"])
def test_any_other_label_is_accepted(raw: dict, label: str) -> None:
    assert load(changed(raw, "models.unet.label", label)).models["unet"].label == label


@pytest.mark.parametrize(
    ("family", "a", "b"),
    [
        ("datasets", "phantom_lung", "phantom_skin"),
        ("models", "unet", "prob_unet"),
        ("strategies", "random", "entropy"),
    ],
)
@pytest.mark.parametrize("label", ["Both", " Both", "Bo\ufb00th"])
def test_two_of_a_figure_with_one_label_are_refused(raw: dict, family: str, a: str, b: str, label: str) -> None:
    raw[family][a]["label"] = label.replace("\ufb00", "ff").strip()
    with pytest.raises(
        ConfigError, match=rf"^config key {family}.{b}.label is '{label}', the label of {a} too; change"
    ):
        load(changed(raw, f"{family}.{b}.label", label))
    alone = changed(changed(raw, f"{family}.{b}.label", label), f"active.{family}", [a])
    if family != "strategies":
        alone["grid"][family] = [a]
    assert load(alone)


def test_a_dataset_and_a_model_may_have_one_id(raw: dict) -> None:
    raw["models"]["lidc"] = {"label": "A model", "method": "unet"}
    config = load(changed(raw, "grid", {"datasets": ["lidc"], "models": ["lidc"], "seeds": [0]}))
    labels = json.loads(specs.figure(config, Cell()))["labels"]
    assert labels == {"datasets": {"lidc": "LIDC-IDRI"}, "models": {"lidc": "A model"}}


@pytest.mark.parametrize(
    ("key", "value"),
    [("models.unet.colour", "red"), ("models.unet.marker", "o-"), ("strategies.bald.colour", "#12345")],
)
def test_looks_that_a_figure_cannot_have(raw: dict, key: str, value: str) -> None:
    with pytest.raises(ConfigError, match=f"^config key {key} is '{value}'"):
        load(changed(raw, key, value))


@pytest.mark.parametrize("family", ["datasets", "models", "strategies"])
@pytest.mark.parametrize("key", [True, False, None, 12, 1.5, float("inf")])
def test_a_key_that_yaml_reads_as_something_else(raw: dict, family: str, key: object) -> None:
    raw[family][key] = next(iter(raw[family].values()))
    with pytest.raises(ConfigError, match=rf"^config key {family} has the key {key}, which is not text; quote it.$"):
        load(raw)


@pytest.mark.parametrize(
    "key",
    ["draws", "training.steps", "training.learning_rate", "models.ensemble.options.members", "datasets.lidc.size"],
)
@pytest.mark.parametrize("value", [True, False])
def test_a_boolean_is_no_number(raw: dict, key: str, value: object) -> None:
    with pytest.raises(ConfigError, match=f"config key {key} is {value}"):
        load(changed(raw, key, value))
    with pytest.raises(
        ConfigError, match=f"^config key grid.seeds.1 is {value}, but must not be a boolean; correct it.$"
    ):
        load(changed(raw, "grid.seeds", [5, value]))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("grid.seeds", [2**32]),
        ("active.seeds", [10**20]),
        ("datasets.lidc.split", {"seed": 10**20}),
        ("datasets.lidc.size", 10**400),
        ("draws", 16 * 10**400),
        ("active.rounds", 1001),
        ("active.add", 10**400),
        ("training.batch_size", 10**400),
        ("backbone.filters", [8, 10**400]),
    ],
)
def test_huge_numbers_are_refused(raw: dict, key: str, value: object) -> None:
    with pytest.raises(ConfigError, match=rf"^config key {key}.* is 1?.*: input should be less than "):
        load(changed(raw, key, value))


@pytest.mark.parametrize("name", ["x" * 65, "x" * 20, "b" + "ab" * 20, "q_" + "abc" * 20])
@pytest.mark.parametrize("family", ["datasets", "models", "strategies"])
def test_ids_that_snakemake_refuses(raw: dict, family: str, name: str) -> None:
    raw[family][name] = next(iter(raw[family].values()))
    with pytest.raises(
        ConfigError, match=rf"^config key {family}.{name} is '{name}': (it ends in|string should have at)"
    ):
        load(raw)


@pytest.mark.parametrize("levels", [2, 4])
@pytest.mark.parametrize(
    "where", ["training", "datasets.phantom_lung.training", "models.unet.training", "active.training"]
)
def test_batch_norm_needs_more_than_one_value(raw: dict, where: str, levels: int) -> None:
    raw["active"]["datasets"] = ["phantom_lung"]
    raw["backbone"]["filters"] = [4] * levels
    if where != "training":
        owner = raw
        for part in where.split(".")[:-1]:
            owner = owner[part]
        owner.setdefault("training", {})
    raw = changed(raw, f"{where}.batch_size", 1)
    for size in (2 ** (levels - 1), 2**levels - 1):
        tiny = changed(raw, "datasets.phantom_lung.size", size)
        with pytest.raises(
            ConfigError, match=r"^config key backbone.normalisation is 'batch', .* unet on phantom_lung has"
        ):
            load(tiny)
        assert load(changed(tiny, "backbone.normalisation", "none"))
        assert load(changed(tiny, f"{where}.batch_size", 2))
    assert load(changed(raw, "datasets.phantom_lung.size", 2**levels))


def test_every_mistake_is_named_at_once(raw: dict) -> None:
    with pytest.raises(ConfigError) as error:
        load({**raw, "colour": 1, "shape": 2})
    assert [line.split()[2] for line in str(error.value).splitlines()] == ["colour", "shape"]


def test_a_mistake_is_an_error_of_the_user() -> None:
    assert issubclass(ConfigError, UserError)


def test_the_device_is_apart_from_the_experiment(raw: dict) -> None:
    assert "device" not in raw
    without, config = load_with_device(raw)
    assert without == "auto"
    for device in ("auto", "cpu", "cuda"):
        assert load_with_device({**raw, "device": device}) == (device, config)
    with pytest.raises(ConfigError, match=r"^config key device is 'tpu', but must be 'auto' or 'cpu' or 'cuda'.$"):
        load_with_device({**raw, "device": "tpu"})


@pytest.mark.parametrize("preset", PRESETS, ids=lambda path: path.stem)
def test_presets_are_valid(raw: dict, preset) -> None:
    config = load(merged(raw, yaml.safe_load(preset.read_text())))
    for dataset in config.grid.datasets:
        for model in config.grid.models:
            assert training(config, dataset, model)["batch_size"] > 0


def test_paper_preset_resolves_to_the_published_learning_rates(raw: dict) -> None:
    config = load(merged(raw, yaml.safe_load((ROOT / "workflow/presets/paper.yaml").read_text())))
    rates = {
        (dataset, model): training(config, dataset, model)["learning_rate"]
        for dataset in ("lidc", "isic18")
        for model in ("unet", "ensemble", "mc_dropout", "prob_unet")
    }
    slow = {("isic18", "mc_dropout"), ("isic18", "prob_unet")}
    assert rates == {cell: 1e-5 if cell in slow else 1e-4 for cell in rates}


def test_layers_of_training_win_in_order(raw: dict) -> None:
    raw["training"]["augmentation"] = {"rotation": 10}
    raw["datasets"]["phantom_lung"]["training"] = {"batch_size": 4, "augmentation": {"flip": False}}
    raw["models"]["unet"]["training"] = {"batch_size": 5, "learning_rate": 0.1}
    raw["models"]["unet"]["per_dataset"] = {"phantom_lung": {"training": {"learning_rate": 0.2}}}
    resolved = training(load(raw), "phantom_lung", "unet")
    assert (resolved["batch_size"], resolved["learning_rate"]) == (5, 0.2)
    assert resolved["augmentation"] == {"flip": False, "rotation": 10.0, "scale": [0.9, 1.1]}


TRAINED = "'unet' or 'ensemble' or 'ensemble_index' or 'mc_dropout' or 'prob_unet'"


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("models.tta.options", {}, "config key models.tta.options.of is missing; give it a value."),
        (
            "models.tta.options.of",
            "vit",
            f"config key models.tta.options.of is 'vit', but must be a model with a training of its own: {TRAINED}",
        ),
        (
            "models.tta.options.of",
            "tta",
            "config key models.tta.options.of is 'tta', but must be a model with a training",
        ),
        ("models.tta.options.of", 3, "config key models.tta.options.of is 3: input should be a valid string."),
        (
            "models.tta.training",
            {"steps": 3},
            "config key models.tta.training is set, but tta has no training of its own: it uses the trained network of "
            "unet; remove it, or set it for models.unet.",
        ),
        (
            "models.tta.per_dataset",
            {"lidc": {}},
            "config key models.tta.per_dataset is set, but tta has no training of its own: it uses the trained network",
        ),
        (
            "active.models",
            ["unet", "tta"],
            "config key active.models lists tta, which has no training of its own, but each round trains its model; "
            "list unet instead.",
        ),
    ],
)
def test_a_wrapper_has_no_training_of_its_own(raw: dict, key: str, value: object, sentence: str) -> None:
    with pytest.raises(ConfigError) as error:
        load(changed(raw, key, value))
    assert str(error.value).startswith(sentence) and "\n" not in str(error.value)


def test_a_wrapper_of_any_model_in_the_catalogue(raw: dict) -> None:
    """That model need not be in the grid."""
    config = load(changed(changed(raw, "models.tta.options.of", "prob_unet"), "grid.models", ["tta", "unet"]))
    assert [config.models[name].of for name in ("tta", "unet", "prob_unet")] == ["prob_unet", None, None]
