"""Specs: what each job's results depend on, and nothing else."""

import json

import pytest
from helpers.config import changed, read_config

from segunc import cells
from segunc.cells import Cell
from segunc.config import specs
from segunc.config.load import load
from segunc.config.looks import looks
from segunc.config.schema import Config

LUNG = Cell("phantom_lung", "unet", seed=0)


@pytest.fixture
def raw() -> dict:
    return read_config()


def all_specs(config: Config) -> dict[str, str]:
    pick = Cell("phantom_lung", "unet", "power_bald", 0, 1)
    return {
        "data": specs.prepare(config, Cell("phantom_lung"), {}),
        "lung": specs.train(config, LUNG._replace(model="prob_unet")),
        "skin": specs.train(config, LUNG._replace(dataset="phantom_skin", model="prob_unet")),
        "unet": specs.train(config, LUNG),
        "sample": specs.sample(config, LUNG),
        "tables": specs.tabulate(config, Cell()),
        "figure": specs.figure(config, Cell()),
        "costs": specs.cost_against_quality(config, Cell()),
        "of dataset": specs.figure_of_dataset(config, Cell("phantom_skin")),
        "images": specs.contact_sheet(config, Cell("phantom_skin")),
        "samples": specs.figure_of_samples(config, Cell("phantom_skin")),
        "training": specs.training_curves(config, Cell("phantom_skin")),
        "start": specs.active_start(config, Cell("phantom_lung", seed=0)),
        "pick": specs.active_acquire(config, pick),
        "active": specs.active_train(config, pick),
        "scored round": specs.active_evaluate(config, pick),
        "active tables": specs.active_tabulate(config, Cell()),
        "claims": specs.claims_tabulate(config, Cell()),
        "curves": specs.figure_of_active_learning(config, Cell()),
        "picks": specs.active_picks(config, Cell("phantom_lung")),
    }


def test_specs_contain_what_results_depend_on_and_nothing_else(raw: dict) -> None:
    before = all_specs(load(raw))

    def touched(key: str, value: object) -> set[str]:
        after = all_specs(load(changed(raw, key, value)))
        return {name for name in before if before[name] != after[name]}

    figures = {"figure", "costs", "of dataset", "samples", "training", "curves", "picks"}
    assert touched("models.unet.label", "Net") == figures
    assert touched("models.unet.colour", "#000000") == figures
    assert touched("models.prob_unet.marker", "*") == figures
    assert touched("strategies.entropy.colour", "#000000") == {"curves", "picks"}
    assert touched("figures.width_mm", 122) == {*figures, "images"}
    assert touched("datasets.phantom_lung.label", "Lung") == {"figure", "costs", "picks"}
    assert touched("datasets.phantom_skin.label", "Skin") == {*figures, "images"} - {"picks"}
    assert touched("strategies.entropy.label", "Entropy") == {"curves", "picks"}
    assert touched("raw_folders", ["elsewhere"]) == set()
    assert touched("grid.seeds", [0, 1]) == {"training"}
    assert touched("grid.seeds", [1, 0]) == {"samples", "training"}
    assert touched("active.seeds", [0, 1]) == {"active tables"}
    assert touched("active.rounds", 4) == {"active tables", "claims"}
    assert touched("models.ensemble.training", {"annotators": "index"}) == {"claims"}
    assert touched("strategies.power_bald.label", "Power") == set()
    assert touched("active.start", 5) == {"start", "scored round"}
    assert touched("active.add", 5) == {"pick", "scored round"}
    assert touched("strategies.power_bald.options", {"beta": 2}) == {"pick"}
    assert touched("active.training.steps", 5) == {"active"}
    assert touched("training.patience", 5) == {"lung", "skin", "unet"}
    assert touched("training.validate_every", 5) == {"lung", "skin", "unet"}
    assert touched("datasets.phantom_lung.size", 48) == {"data"}
    assert touched("datasets.phantom_lung.split", {"folds": 3}) == {"data"}
    assert touched("datasets.phantom_lung.training", {"batch_size": 4}) == {"lung", "unet", "active"}
    assert touched("models.prob_unet.options.beta", 0.1) == {"lung", "skin"}
    assert touched("models.prob_unet.per_dataset", {"phantom_skin": {"options": {"beta": 0.1}}}) == {"skin"}
    assert touched("training.gradient_clip", 1) == {"lung", "skin", "unet", "active"}
    assert touched("training.augmentation", None) == {"lung", "skin", "unet", "active"}
    assert touched("draws", 32) == {"sample", "pick", "costs"}
    assert touched("models.unet.draws", 64) == set()
    assert touched("models.unet.draws", 7) == {"sample", "pick"}
    assert touched("models.mc_dropout.draws", 7) == {"costs"}
    assert touched("models.ensemble.options.members", 8) == {"costs"}
    intervals = {"figure", "costs", "of dataset", "curves"}
    assert touched("statistics.confidence", 0.9) == {"tables", "active tables", *intervals}


def test_costs_are_relative_to_a_pass_of_the_unet(raw: dict) -> None:
    """An ensemble runs its members, MC-dropout most of a U-Net per sample; a dataset may have its own options."""
    raw["models"]["ensemble"]["per_dataset"] = {"phantom_skin": {"options": {"members": 8}}}
    costs = json.loads(specs.cost_against_quality(load(raw), Cell()))["costs"]
    assert list(costs) == ["phantom_lung", "phantom_skin"]
    assert costs["phantom_lung"]["unet"] == 1 and costs["phantom_lung"]["ensemble"] == 4
    assert costs["phantom_skin"]["ensemble"] == 8
    assert 0.8 * 16 < costs["phantom_lung"]["mc_dropout"] < 16
    assert 1.2 < costs["phantom_lung"]["prob_unet"] < 4
    bigger = json.loads(specs.cost_against_quality(load(changed(raw, "datasets.phantom_lung.size", 256)), Cell()))
    assert bigger["costs"] == costs


def test_an_entry_looks_the_same_in_every_grid(raw: dict) -> None:
    whole = json.loads(specs.figure(load(raw), Cell()))["looks"]["models"]
    models = ["prob_unet", "unet"]
    assert json.loads(specs.figure(load(changed(raw, "grid.models", models)), Cell()))["looks"]["models"] == {
        name: whole[name] for name in models
    }
    raw["models"] |= {f"more{i}": {"label": f"More {i}", "method": "unet"} for i in range(20)}
    config = load(changed(raw, "models.more0.colour", "#ABCDEF"))
    found = looks("models", config.models)
    assert found["more0"]["colour"] == "#ABCDEF"
    assert len({look["colour"] for look in list(found.values())[:10]}) == 10
    assert len({tuple(look.values()) for look in found.values()}) == len(found) >= 20


@pytest.mark.parametrize(
    ("split", "expected"),
    [
        (None, {"folds": 5, "seed": 0}),
        ({"folds": 3, "seed": 7}, {"folds": 3, "seed": 7}),
        ({"train": 0.6, "val": 0.2, "test": 0.2}, {"train": 0.6, "val": 0.2, "test": 0.2, "seed": 0}),
    ],
)
def test_a_dataset_is_prepared_with_folds_or_shares(raw: dict, split: dict | None, expected: dict) -> None:
    config = load(changed(raw, "datasets.phantom_lung.split", split) if split else raw)
    assert json.loads(specs.prepare(config, Cell("phantom_lung"), {}))["split"] == expected


def test_missing_results_are_in_the_specs_of_what_lists_them(raw: dict) -> None:
    entry = {"step": "sample", "cell": {"dataset": "phantom_lung", "model": "unet", "seed": "0"}, "why": "failed"}
    scores = {**entry, "step": "evaluate"}
    round_ = {**entry["cell"], "dataset": "phantom_skin", "strategy": "random", "round": "1"}
    test = {"step": "active_evaluate", "cell": round_, "why": "failed"}
    config = load({**raw, "missing": [entry, scores, test]})
    shown = json.loads(specs.figure_of_samples(config, Cell("phantom_lung")))
    assert shown["missing"] == ["unet"] and shown["models"] == [*config.grid.models[1:]]
    assert json.loads(specs.figure_of_samples(config, Cell("phantom_skin")))["missing"] == []
    listed = json.loads(specs.tabulate(config, Cell()))["missing"]
    assert listed == [{"step": "evaluate", "dataset": "phantom_lung", "model": "unet", "seed": 0, "why": "failed"}]
    [listed] = json.loads(specs.active_tabulate(config, Cell()))["missing"]
    assert listed == {
        "dataset": "phantom_skin",
        "model": "unet",
        "strategy": "random",
        "seed": 0,
        "round": 1,
        "why": "failed",
    }


def test_a_wrapper_is_in_the_spec_of_its_samples_alone(raw: dict) -> None:
    """Under which id the network was trained is not: the weights say what it is."""

    def sampled(key: str, value: object) -> dict:
        return json.loads(specs.sample(load(changed(raw, key, value)), LUNG._replace(model="tta")))

    wrapper = {"method": "tta", "options": {"views": 8}}
    spec = sampled("models.tta.options", {"of": "unet"})
    assert spec == {"draws": 64, "seed": 0, "wrapper": wrapper} == sampled("models.tta.options.of", "ensemble")
    assert sampled("models.tta.options.views", 2)["wrapper"]["options"] == {"views": 2}
    config = load(changed(raw, "grid.models", ["mc_dropout", "tta", "unet"]))
    assert "wrapper" not in json.loads(specs.sample(config, LUNG))
    # The figure of training curves has the runs of the grid's own models; the report's config also has the others.
    runs = json.loads(specs.training_curves(config, Cell("phantom_lung")))["runs"]
    assert runs == [[model, seed] for model in ("mc_dropout", "unet") for seed in (0, 1, 2)]
    config = load(changed(changed(raw, "grid.models", ["tta"]), "active.datasets", []))
    shown = json.loads(specs.assemble(config, Cell(), [], [], {}))["config"]["models"]
    assert list(shown) == ["tta", "unet", "prob_unet"]
    assert json.loads(specs.training_curves(config, Cell("phantom_lung")))["runs"] == []


def test_trainings_behind_the_grid_are_listed_once(raw: dict) -> None:
    raw["models"]["tta4"] = {"label": "4", "method": "tta", "options": {"of": "unet", "views": 4}}
    raw["grid"] = {"datasets": ["phantom_lung"], "models": ["tta", "mc_dropout", "tta4"], "seeds": [0, 3]}
    trained = [LUNG._replace(model=model, seed=seed) for model in ("unet", "mc_dropout") for seed in (0, 3)]
    assert cells.trainings(load(raw)) == trained
    assert cells.training_behind(load(raw), LUNG._replace(model="tta4")) == LUNG
