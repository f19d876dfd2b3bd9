import csv
import gzip
import json
import shutil
from math import ceil, isnan
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from helpers.study import SHAPE, random_draws, run, write_dataset, write_samples

from segunc.cells import Cell, scored
from segunc.evaluation import pooled_tables, tables
from segunc.evaluation.headline import headline, labels_of_models
from segunc.evaluation.predictions import Prediction
from segunc.evaluation.scores import (
    BINS,
    CALIBRATION_COLUMNS,
    COLUMNS,
    GROUPS,
    HISTOGRAM_COLUMNS,
    SCORES,
    inputs_of,
)
from segunc.evaluation.statistics import Units, holm, two_way, two_way_statistic
from segunc.evaluation.summary_latex import summary_latex
from segunc.evaluation.summary_markdown import TARGET, WIDTH, summary_markdown
from segunc.evaluation.tables import read_cells
from segunc.metrics.aggregation import NAMES
from segunc.metrics.ranking import augrc, aurc
from segunc.metrics.registry import COMPARED, METRICS
from segunc.runtime.errors import UserError
from segunc.stages import baselines, evaluate, tabulate

SPEC = {"confidence": 0.9}
IMAGES = 14
"""Of a dataset, two per patient."""
BASELINES = ["baseline_empty", "baseline_blind", "baseline_annotator", "baseline_readings"]
LEVELS = ["unet+levels", "prob_unet+levels"]
TABLES = ["summary", "uncertainty_by_outcome", "uncertainty_by_agreement", "entropy_histograms", "ged_by_votes"]
TABLES += ["comparisons", "failure_detection", "risk_coverage", "calibration", "reliability", "exclusions"]
TABLES += ["empty_masks", "images_wide", "missing"]
FILES = {"images": "images.csv", "levels": "levels.csv", "pixels": "pixels.csv.gz", "calibration": "calibration.csv.gz"}
OF_SKIN = tuple(metric for metric in METRICS if metric != "truth_rmse")
WHERE = {
    "evaluate": "{dataset}/{model}/seed{seed}",
    "baselines": "{dataset}/baselines/seed{seed}",
}


def write_tables(monkeypatch, data, scores, output, missing=(), **grid):
    """Runs the stage on the scores that are not missing, of two datasets with two models and seeds or another grid."""
    whole = {"datasets": ["phantom", "skin"], "models": ["unet", "prob_unet"]} | grid
    spec = json.dumps({"statistics": SPEC, **whole, "unet": whole["models"][0], "missing": list(missing)})
    config = SimpleNamespace(grid=SimpleNamespace(**whole, seeds=[0, 1]))
    lost = [(entry["step"], Cell(entry["dataset"], entry["model"], seed=entry["seed"])) for entry in missing]
    folders = [cell.fill(WHERE[step]) for step, cell in scored(config) if (step, cell) not in lost]
    files = {option: [scores / folder / file for folder in folders] for option, file in FILES.items()}
    written = [output / f"{name}.csv" for name in TABLES]
    run(tabulate, monkeypatch, spec=spec, data=data, **files, tables=written)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Two datasets (`phantom` has a truth, `skin` one annotator), two models with two seeds, all baselines, tables."""
    folder = tmp_path_factory.mktemp("study")
    files = {"data": [], **{option: [] for option in FILES}}

    def outputs(*cell):
        where = folder.joinpath("scores", *cell)
        for option, file in FILES.items():
            files[option].append(where / file)
        return {"scores": [where / file for file in FILES.values()]}

    with pytest.MonkeyPatch.context() as monkeypatch:
        for dataset, options in (
            ("phantom", {"truth": True, "exclusions": {"mask of another size": 2, "unreadable": 1}}),
            ("skin", {"annotators": 1}),
        ):
            data = folder / f"{dataset}.h5"
            ids = [r.image_id for r in write_dataset(data, images=IMAGES, **options)]
            files["data"].append(data)
            for seed in (0, 1):
                draws = random_draws(IMAGES, seed)
                for model, kind, of_model in (
                    ("unet", "exact", draws[:, :1]),
                    ("prob_unet", "independent", draws),
                ):
                    samples = folder / f"{dataset}-{model}-{seed}.h5"
                    write_samples(samples, ids, of_model, kind)
                    named = {"data": data, "samples": samples, "dataset": dataset, "seed": seed}
                    run(evaluate, monkeypatch, **named, model=model, **outputs(dataset, model, f"seed{seed}"))
                named = {"data": data, "dataset": dataset, "seed": seed}
                run(baselines, monkeypatch, **named, **outputs(dataset, "baselines", f"seed{seed}"))
        write_tables(monkeypatch, files["data"], folder / "scores", folder / "tables")
    undefined = {score: ["nan"] for score in SCORES}
    options = {"dtype": {"image_id": str}, "keep_default_na": False, "na_values": undefined}
    frames = [pd.read_csv(path, **options) for path in [*files["images"], *files["levels"]]]
    scores = pd.concat([frame for frame in frames if len(frame)])
    return folder / "tables", scores, files


def read(study, name):
    return read_table(study[0], name)


def read_table(folder, name):
    return pd.read_csv(folder / f"{name}.csv", keep_default_na=False, na_values=[""])


def heads_of(folder, models=("unet", "prob_unet")):
    parts = [read_table(folder, name) for name in ("summary", "comparisons", "failure_detection")]
    return headline(*parts, {model: model for model in models}, "unet")


def markdown_of(folder, table=None):
    """The summary for reading, with ids for labels of models."""
    table = read_table(folder, "summary") if table is None else table
    return summary_markdown(table, read_table(folder, "missing"), heads_of(folder), {}, {})


def one(frame, **values):
    """The only row with these values."""
    for name, value in values.items():
        frame = frame[frame[name] == value]
    assert len(frame) == 1
    return frame.iloc[0]


def of_cell(scores, dataset, model):
    return scores[(scores["dataset"] == dataset) & (scores["model"] == model)]


def units(rows):
    return Units(rows["image_id"], rows["patient_id"], rows["seed"])


@pytest.mark.parametrize("model", ["unet", "prob_unet", "baseline_readings", "prob_unet+levels"])
@pytest.mark.parametrize("metric", METRICS)
def test_summary_is_the_mean_with_its_interval(study, model, metric):
    _, scores, _ = study
    row = one(read(study, "summary"), dataset="phantom", model=model, metric=metric)
    cell = of_cell(scores, "phantom", model)
    expected = two_way(cell[metric], units(cell), **SPEC, scale=METRICS[metric].scale)._asdict()
    shared = ["ci_low", "ci_high", "n_seeds", "n_images", "n_patients", "effective_patients", "n_undefined"]
    wanted = [expected["estimate"], *(expected[name] for name in shared)]
    assert row[["mean", *shared]].tolist() == pytest.approx(wanted, rel=1e-7, abs=1e-9, nan_ok=True)
    assert row["n_images"] + row["n_undefined"] == IMAGES
    seed_sd = cell.groupby("seed")[metric].mean().std()
    assert row["seed_sd"] == pytest.approx(seed_sd, rel=1e-6, abs=1e-9, nan_ok=True)


def test_targets_are_those_of_a_model_that_knows_the_readers(study):
    """From D_U and A of each image; image 0 and the images of one annotator have their own."""
    _, scores, _ = study
    table = read(study, "summary")
    distance = of_cell(scores, "phantom", "unet")["annotator_distance"].mean()
    expected = {f"ged_{n}": distance / 4 + distance / n for n in (1, 4, 8, 16, 64)}
    expected |= {"ged_u": distance / 4, "diversity": 15 / 16 * distance}
    # E 2 C - 15/16 (U + D) of E C = E U = D_U and D = 3/4 D_U.
    expected |= {"ged_study_16": distance * (2 - 15 / 16 * (1 + 3 / 4))}
    for metric in METRICS:
        row = one(table, dataset="phantom", model="prob_unet", metric=metric)
        assert row["target"] == pytest.approx(expected.get(metric, float("nan")), rel=1e-7, nan_ok=True)
    assert table[table["dataset"] == "skin"]["target"].isna().all()


def test_a_perfect_model_reaches_the_targets():
    """Many independent samples and the readings of each image come from the same readers."""
    generator = np.random.default_rng(0)
    rows = []
    for _ in range(400):
        radii = generator.integers(0, 6, 40)
        masks = np.hypot(*np.mgrid[-6:7, -6:7]) < radii[:, None, None]
        inputs = inputs_of(Prediction(masks[4:], masks[4:].mean(axis=0), None, False), masks[:4], None)
        scores = {name: metric(inputs) for name, metric in METRICS.items() if metric.needs == ("distances",)}
        distance = METRICS["annotator_distance"](inputs)
        rows.append({"seed": 0, "annotators": 4, "annotator_distance": distance, **scores})
    runs = pd.DataFrame(rows)
    targets = tables.targets(runs)
    assert len(targets) == 8
    for metric, target in targets.items():
        assert runs[metric].mean() == pytest.approx(target, abs=4 * runs[metric].sem()), metric


def test_scope_is_the_method_if_there_are_several_seeds(study, tmp_path, monkeypatch):
    table = read(study, "summary")
    assert set(table[table["n_seeds"] == 2]["scope"]) == {"method"}
    lost = [entry for model in ("unet", "prob_unet") for entry in entries("phantom", model, [1], "why")]
    lost += entries("phantom", "baselines", [1], "why")
    grid = {"datasets": ["phantom"]}
    write_tables(monkeypatch, study[2]["data"][:1], study[0].parent / "scores", tmp_path, lost, **grid)
    table = read_table(tmp_path, "summary")
    for model in table["model"].unique():
        rows = table[(table["model"] == model) & (table["n_images"] > 0)]
        assert set(rows["scope"]) == {"method" if model in BASELINES else "these networks"}, model
    assert set(read_table(tmp_path, "comparisons")["scope"]) == {"these networks"}
    text = markdown_of(tmp_path)
    assert "One seed: the intervals of unet, prob_unet, unet+levels, prob_unet+levels are about these networks" in text


@pytest.mark.parametrize(
    "ids", [("inf", "true", "false"), ("true", "nan", "inf"), ("null", "none", "na"), ("nan", "e3", "on")]
)
def test_ids_that_look_like_other_values(study, tmp_path, monkeypatch, ids):
    """The tables are those of other ids."""
    named = dict(zip(("phantom", "unet", "prob_unet"), ids, strict=True))

    def renamed(text):
        names = named | {f"{model}+levels": f"{name}+levels" for model, name in named.items()}
        names |= {f"{model}.{metric}": f"{name}.{metric}" for model, name in named.items() for metric in METRICS}
        return [[names.get(field, field) for field in row] for row in csv.reader(text.splitlines())]

    for source in filter(lambda path: "phantom" in path.parts, [path for option in FILES for path in study[2][option]]):
        opened = gzip.open if source.suffix == ".gz" else open
        parts = [named.get(part, part) for part in source.relative_to(study[2]["data"][0].parent).parts]
        target = tmp_path.joinpath(*parts)
        target.parent.mkdir(parents=True, exist_ok=True)
        with opened(source, "rt") as before, opened(target, "wt", newline="") as after:
            csv.writer(after, lineterminator="\n").writerows(renamed(before.read()))
    store = study[2]["data"][0]
    shutil.copy(store, tmp_path / f"{ids[0]}.h5")
    grid = {"datasets": [ids[0]], "models": list(ids[1:])}
    write_tables(monkeypatch, [tmp_path / f"{ids[0]}.h5"], tmp_path / "scores", tmp_path / "after", **grid)
    for name in TABLES:
        header, *before = renamed((study[0] / f"{name}.csv").read_text())
        after = (tmp_path / "after" / f"{name}.csv").read_text()
        assert list(csv.reader(after.splitlines())) == [header, *(row for row in before if row[0] == ids[0])], name


def test_order_is_that_of_the_files_then_the_baselines_and_of_the_metrics(study):
    table = read(study, "summary")
    assert list(dict.fromkeys(table["dataset"])) == ["phantom", "skin"]
    assert list(dict.fromkeys(table["model"])) == ["unet", "prob_unet", *LEVELS, *BASELINES]
    rows = table[(table["dataset"] == "phantom") & (table["model"] == "unet")]
    assert tuple(rows["metric"]) == tuple(METRICS)


def test_a_metric_without_a_truth_does_not_appear(study):
    table = read(study, "summary")
    assert "truth_rmse" not in set(table[table["dataset"] == "skin"]["metric"])
    undefined = read(study, "exclusions")
    assert undefined[(undefined["dataset"] == "skin") & (undefined["what"] == "truth_rmse")].empty


@pytest.mark.parametrize(("kind", "groups"), [("outcome", GROUPS[:4]), ("agreement", GROUPS[4:])])
def test_uncertainty_by_group(study, kind, groups):
    _, scores, _ = study
    table = read(study, f"uncertainty_by_{kind}")
    judged = {"unet", "prob_unet", "baseline_readings"}
    assert set(table["model"]) == judged
    assert len(table) == 2 * 3 * len(groups)
    for group in groups:
        cell = of_cell(scores, "phantom", "prob_unet")
        values = cell[f"entropy_{group}"]
        row = one(table, **{"dataset": "phantom", "model": "prob_unet", kind: group})
        expected = two_way(values, units(cell), **SPEC)._asdict()
        shared = ["ci_low", "ci_high", "n_seeds", "n_images", "n_patients", "n_undefined"]
        wanted = [expected["estimate"], *(expected[name] for name in shared)]
        assert row[["mean", *shared]].tolist() == pytest.approx(wanted, rel=1e-7, nan_ok=True)
        if row["n_images"]:
            quartiles = np.nanquantile(values, [0.25, 0.5, 0.75])
            np.testing.assert_allclose(row[["q25", "median", "q75"]].astype(float), quartiles, rtol=1e-7)
        assert row["n_pixels"] == cell[f"pixels_{group}"].sum()
    defined = table[table["n_images"] > 0]
    assert len(defined) >= 8


def test_agreement_of_one_annotator_is_undefined_but_there(study):
    row = one(read(study, "uncertainty_by_agreement"), dataset="skin", model="unet", agreement="disagree")
    assert (row["n_images"], row["n_pixels"], row["n_undefined"]) == (0, 0, IMAGES)
    assert isnan(row["mean"])


def test_entropy_histograms_are_shares_of_all_pixels(study):
    _, _, files = study
    table = read(study, "entropy_histograms")
    sums = table.groupby(["dataset", "model", "group"])["share"].agg(["sum", "size"])
    np.testing.assert_allclose(sums["sum"], 1, rtol=1e-7)
    assert set(sums["size"]) == {BINS}
    pixels = [p for p, i in zip(files["pixels"], files["images"], strict=True) if "phantom/prob_unet" in str(i)]
    counts = np.zeros(BINS)
    for path in pixels:
        with gzip.open(path, "rt", newline="") as file:
            for row in csv.DictReader(file):
                if row["group"] == "tn":
                    counts[int(row["bin"])] += int(row["pixels"])
    assert len(pixels) == 2 and counts.sum() > SHAPE[0] * SHAPE[1]
    ours = table[(table["dataset"] == "phantom") & (table["model"] == "prob_unet") & (table["group"] == "tn")]
    np.testing.assert_allclose(ours["share"], counts / counts.sum(), rtol=1e-7)
    np.testing.assert_allclose(ours["entropy_low"], np.arange(BINS) / BINS)
    np.testing.assert_allclose(ours["entropy_high"], (np.arange(BINS) + 1) / BINS)


def test_ged_by_votes_splits_the_images(study):
    _, scores, _ = study
    table = read(study, "ged_by_votes")
    metric = table[(table["dataset"] == "phantom") & (table["model"] == "unet") & (table["metric"] == "ged_u")]
    assert metric["votes"].tolist() == [0, 1, 2, 3, 4]
    assert metric["n_images"].tolist() == [1, 1, 1, 1, IMAGES - 4]
    four = of_cell(scores, "phantom", "unet")
    four = four[four["votes"] == 4]
    row = one(metric, votes=4)
    assert row["mean"] == pytest.approx(four["ged_u"].mean())
    assert row["target"] == pytest.approx(four["annotator_distance"].mean() / 4)
    assert set(table["metric"]) == {m for m in METRICS if m.startswith("ged")}
    # One image is one patient: no interval.
    assert isnan(one(metric, votes=1)["ci_low"])


FAMILIES = [
    *((metric, [("unet", "prob_unet")]) for metric in COMPARED),
    ("ged_u", [(name, "unet+levels") for name in ("unet", "prob_unet", "prob_unet+levels")]),
    ("coupling_gain", [(model, f"{model}+levels") for model in ("unet", "prob_unet")]),
]
"""Metrics and pairs that are tested together."""


def test_comparisons_are_paired_and_corrected_within_their_families(study):
    _, scores, _ = study
    table = read(study, "comparisons")
    for dataset in ("phantom", "skin"):
        of_dataset = table[table["dataset"] == dataset]
        names = list(zip(of_dataset["metric"], of_dataset["model_a"], of_dataset["model_b"], strict=True))
        assert names == [(metric, *pair) for metric, pairs in FAMILIES for pair in pairs]
        for metric, pairs in FAMILIES:
            family = of_dataset[[name in [(metric, *pair) for pair in pairs] for name in names]]
            np.testing.assert_allclose(family["p_holm"], holm(family["p"]), rtol=1e-7)
    for metric, a, b in (
        ("ged_u", "unet", "prob_unet"),
        ("ged_u", "prob_unet", "unet+levels"),
        ("ged_u", "prob_unet+levels", "unet+levels"),
        ("coupling_gain", "prob_unet", "prob_unet+levels"),
    ):
        first, second = (of_cell(scores, "phantom", name).set_index(["seed", "image_id"]) for name in (a, b))
        difference = (first[metric] - second.loc[first.index, metric]).to_numpy()
        expected = two_way(difference, units(first.reset_index()), **SPEC)
        row = one(table, dataset="phantom", metric=metric, model_a=a, model_b=b)
        numbers = ["ci_low", "ci_high", "p", "detectable", "n_seeds", "n_images", "n_patients", "effective_patients"]
        wanted = [expected.estimate, *(expected._asdict()[number] for number in numbers)]
        assert row[["difference", *numbers]].tolist() == pytest.approx(wanted, rel=1e-6)
        assert row["difference"] != 0
        if metric == "coupling_gain":
            gain = one(read(study, "summary"), dataset="phantom", model=a, metric=metric)
            assert row[["difference", "ci_low", "ci_high"]].tolist() == gain[["mean", "ci_low", "ci_high"]].tolist()


def test_without_a_plain_unet_models_are_compared_with_their_own_level_sets(study):
    cells = read_cells([*study[2]["images"], *study[2]["levels"]], ["phantom", "skin"])
    table = tables.comparisons(cells, 0.95, "")
    assert set(table["model_b"]) == {"prob_unet", *LEVELS}
    beside = table[table["model_b"].isin(LEVELS)]
    assert (beside["model_a"] + "+levels" == beside["model_b"]).all() and set(beside["metric"]) == {"coupling_gain"}


def test_a_difference_that_is_always_zero_is_no_test():
    """Two models with the same scores: their row has no p_holm, and the others' does not pay for it."""
    generator = np.random.default_rng(0)
    ids = [f"{i}" for i in range(8)]
    one_seed = {"seed": 0, "image_id": ids, "patient_id": ids}

    def cell(model, shift):
        scores = {name: shift + generator.normal(0, 0.1, 8) for name in [*COMPARED, "coupling_gain"]}
        return tables.CellScores("d", model, pd.DataFrame({**one_seed, **scores}))

    same = cell("b", 0.5)
    models = [cell("a", 0.4), same, same._replace(model="c")]
    table = tables.comparisons([*models, *(cell(f"{one.model}+levels", 0.5) for one in models)], 0.95, "")
    family = table[table["metric"] == "cross_entropy"].set_index(["model_a", "model_b"])
    zero = family.loc[("b", "c")]
    assert zero["difference"] == 0 and isnan(zero["p_holm"])
    assert family["p_holm"].notna().sum() == 2
    assert family.loc[("a", "b")]["p_holm"] == pytest.approx(2 * family.loc[("a", "b")]["p"])


def test_comparisons_use_the_seeds_and_images_of_both():
    """Seed 1 of the second model is missing, and so is one of its images."""
    ids = [f"{i}" for i in range(9)]
    runs = pd.concat(
        pd.DataFrame({"seed": seed, "image_id": ids, "patient_id": ids, **dict.fromkeys(COMPARED, 1.0 + seed)})
        for seed in (0, 1)
    ).assign(coupling_gain=0.1)
    second = runs[(runs["seed"] == 0) & (runs["image_id"] != "3")].assign(**dict.fromkeys(COMPARED, 0.25))
    scored = {"a": runs, "b": second, "a+levels": runs, "b+levels": second}
    table = tables.comparisons([tables.CellScores("d", name, own) for name, own in scored.items()], 0.95, "a")
    row = one(table, metric="dice_cut", model_a="a", model_b="b")
    assert (row["difference"], row["n_seeds"], row["n_images"], row["scope"]) == (0.75, 1, 8, "these networks")


@pytest.mark.parametrize("score", ["u_mean_entropy", "u_foreground_expected", "u_patch_mi", "u_pairwise"])
def test_failure_detection(study, score):
    _, scores, _ = study
    cell = of_cell(scores, "phantom", "prob_unet")
    risk, by = 1 - cell["dice"].to_numpy(), cell[score].to_numpy()
    how, _, of = score.removeprefix("u_").partition("_")
    row = one(
        read(study, "failure_detection"), dataset="phantom", model="prob_unet", aggregation=how, map=of or "samples"
    )
    seeds = [np.flatnonzero(cell["seed"] == seed) for seed in (0, 1)]
    for name, area in (("aurc", aurc), ("augrc", augrc)):
        expected = two_way_statistic(lambda rows, area=area: area(risk[rows], by[rows]), units(cell), **SPEC)
        found = row[[name, f"{name}_low", f"{name}_high"]].tolist()
        assert found == pytest.approx([expected.estimate, expected.ci_low, expected.ci_high], rel=1e-7)
        best = np.mean([area(risk[rows], risk[rows]) for rows in seeds])
        assert row[f"{name}_best"] == pytest.approx(best) and row[f"{name}_best"] <= row[name] + 1e-9
    assert row["aurc_chance"] == pytest.approx(np.mean([risk[rows].mean() for rows in seeds]))
    assert row["augrc_chance"] == pytest.approx(row["aurc_chance"] / 2)
    assert row["e_aurc"] == pytest.approx(row["aurc"] - row["aurc_best"])
    assert (row["n_seeds"], row["n_images"], row["n_undefined"]) == (2, IMAGES, 0)


def test_failure_detection_has_every_aggregation_of_every_model(study):
    table = read(study, "failure_detection")
    assert (
        table.groupby(["dataset", "model"]).size().loc[[("phantom", "unet"), ("skin", "prob_unet")]].tolist()
        == [len(NAMES)] * 2
    )


def test_calibration_is_pooled_over_all_images_of_a_seed(study):
    """Against sums over the files, in loops."""
    _, _, files = study
    row = one(read(study, "calibration"), dataset="phantom", model="prob_unet")
    for name, first in (("ece", 0), ("ece_without_lowest", 1)):
        of_seeds = []
        for path in (path for path in files["calibration"] if "phantom/prob_unet" in str(path)):
            with gzip.open(path, "rt", newline="") as file:
                rows = [row for row in csv.DictReader(file) if int(row["bin"]) >= first]
            gaps = sum(
                abs(sum(float(row["probability"]) - float(row["frequency"]) for row in rows if row["bin"] == b))
                for b in {row["bin"] for row in rows}
            )
            of_seeds.append(gaps / sum(int(row["pixels"]) for row in rows))
        assert len(of_seeds) == 2
        assert row[name] == pytest.approx(np.mean(of_seeds))
        assert row[f"{name}_low"] < row[name] < row[f"{name}_high"]
    assert (row["n_seeds"], row["n_images"], row["n_patients"]) == (2, IMAGES, IMAGES // 2)


def test_reliability_adds_up_to_the_calibration_error(tmp_path):
    """Of one seed: the error is the mean over bins of the gap, weighted by their share."""
    generator = np.random.default_rng(0)
    ids = [f"{i}" for i in range(6)]
    runs = pd.DataFrame({"dataset": "d", "model": "m", "seed": 0, "image_id": ids, "patient_id": ["p", *ids[1:]]})
    runs.loc[1, "patient_id"] = "p"
    rows = [("d", "m", 0, i, b, b + 1, (b + 1) * (b + 0.5) / 15, generator.uniform()) for i in ids for b in (0, 9)]
    pd.DataFrame(rows, columns=CALIBRATION_COLUMNS).to_csv(tmp_path / "calibration.csv.gz", index=False)
    bins, cells = pooled_tables.read_bins([tmp_path / "calibration.csv.gz"]), [tables.CellScores("d", "m", runs)]
    table = pooled_tables.reliability(bins, cells)
    assert table["share"].tolist() == pytest.approx([1 / 11, 10 / 11])
    assert table[["n_images", "n_patients"]].to_numpy().tolist() == [[6, 5]] * 2
    inside = table["probability"].between(table["probability_low"], table["probability_high"])
    assert inside.all()
    gaps = (table["probability"] - table["frequency"]).abs()
    expected = pooled_tables.calibration(bins, cells, 0.9)["ece"][0]
    assert (table["share"] * gaps).sum() == pytest.approx(expected)


def test_risk_coverage_is_that_of_the_least_uncertain_images(study):
    _, scores, _ = study
    cell = of_cell(scores, "phantom", "prob_unet")
    table = read(study, "risk_coverage").set_index(["dataset", "model", "aggregation", "map"])
    curve = table.loc[("phantom", "prob_unet", "patch", "mi")]
    for row in curve.itertuples():
        k = ceil(row.coverage * IMAGES - 1e-9)
        kept = [own.sort_values("u_patch_mi").head(k) for _, own in cell.groupby("seed")]
        assert row.n_images == k
        assert row.n_patients == min(own["patient_id"].nunique() for own in kept)
        assert row.risk == pytest.approx(np.mean([1 - own["dice"].mean() for own in kept]))
    assert curve["coverage"].tolist() == pytest.approx([k / 20 for k in range(1, 21)])


def test_calibration_without_each_patient(tmp_path):
    """Leaving out a patient leaves out all their bins: the jackknife by hand, of one seed of six images."""
    generator = np.random.default_rng(0)
    ids = [f"{i}" for i in range(6)]
    runs = pd.DataFrame({"dataset": "d", "model": "m", "seed": 0, "image_id": ids, "patient_id": ids})
    rows = [("d", "m", 0, i, b, 10, 10 * (b + 0.5) / 15, generator.uniform(0, 10)) for i in ids for b in (0, 9)]
    bins = pd.DataFrame(rows, columns=CALIBRATION_COLUMNS)

    def ece(images):
        gaps = bins[bins["image_id"].isin(images)].groupby("bin")[["probability", "frequency"]].sum()
        return (gaps["probability"] - gaps["frequency"]).abs().sum() / (20 * len(images))

    moved = [ece(ids) - ece([other for other in ids if other != i]) for i in ids]
    expected = two_way_statistic(lambda rows: ece([ids[row] for row in rows]), Units(ids, ids, [0] * 6), **SPEC)
    assert expected.se**2 == pytest.approx(5 / 6 * np.square(moved).sum())
    path = tmp_path / "calibration.csv.gz"
    bins.to_csv(path, index=False)
    table = pooled_tables.calibration(
        pooled_tables.read_bins([path]), [tables.CellScores("d", "m", runs)], SPEC["confidence"]
    )
    assert table.iloc[0][["ece", "ece_low", "ece_high"]].tolist() == pytest.approx(list(expected[:3]))


def test_exclusions_say_why(study):
    table = read(study, "exclusions").fillna("")
    dropped = table[table["what"] == "images"]
    assert dropped[["dataset", "model", "reason", "n_excluded", "n_total"]].values.tolist() == [
        ["phantom", "", "mask of another size", 2, 3 * IMAGES + 3],
        ["phantom", "", "unreadable", 1, 3 * IMAGES + 3],
    ]
    expected = {
        ("phantom", "baseline_empty", "cross_entropy"): "the masks of baseline_empty are no probabilities",
        ("skin", "baseline_annotator", "ged_16"): "the image has one annotator only",
        ("skin", "unet", "entropy_disagree"): "fewer than 10 pixels on which the annotators are split in halves",
        ("skin", "baseline_readings", "error_auroc"): "no pixel of the thresholded mean is wrong, or all are",
    }
    for (dataset, model, what), reason in expected.items():
        row = one(table, dataset=dataset, model=model, what=what)
        assert (row["reason"], row["n_excluded"], row["n_total"]) == (reason, IMAGES, IMAGES)
    assert "the score is not a number" not in set(table["reason"])


def test_exclusions_count_what_the_summary_leaves_out(study):
    counted = read(study, "exclusions").set_index(["dataset", "model", "what"])["n_excluded"]
    for row in read(study, "summary").itertuples():
        assert counted.get((row.dataset, row.model, row.metric), 0) == row.n_undefined


def numbers_of(block, name):
    """The numbers of the rows with this name in a dataset's blocks, by metric."""
    metrics = {metric.label: name for name, metric in METRICS.items()}
    found, header = {}, []
    for line in block.splitlines():
        fields = [field.strip() for field in line.split("|")[1:-1]]
        if fields[:2] == ["model", "seeds"]:
            header = [metrics[field.rstrip(" ↑↓")] for field in fields[2:]]
        elif fields[:1] == [name] and header:
            found |= dict(zip(header, fields[2:], strict=True))
    return found


def test_markdown_has_every_number_of_the_summary(study):
    text = markdown_of(study[0])
    blocks = text.split("\n## ")
    assert [block.split("\n")[0] for block in blocks[1:]] == ["phantom", "skin", "Columns"]
    assert f"{IMAGES} test images of 7 patients (effective: 7.0)." in blocks[1]
    summary = read(study, "summary").set_index(["dataset", "metric"])
    distance = summary.loc[("phantom", "annotator_distance"), "mean"].iloc[0]
    assert f"differ by D_U = {distance:.3f}" in blocks[1] and "D_U = " not in blocks[2]
    unet, readers = numbers_of(blocks[1], "unet"), numbers_of(blocks[1], TARGET)
    assert set(unet) == set(METRICS) - {"annotator_distance"}
    for metric, number in unet.items():
        row = summary[summary["model"] == "unet"].loc[("phantom", metric)]
        if np.isnan(row["mean"]):
            assert number == "–"
        else:
            interval = "" if np.isnan(row["ci_low"]) else f" [{row['ci_low'] + 0:.3f}, {row['ci_high'] + 0:.3f}]"
            of_some = f" ({row['n_images']:.0f})" if row["n_undefined"] else ""
            assert number.replace("-0.000", "0.000") == f"{row['mean']:.3f}{interval}{of_some}".replace(
                "-0.000", "0.000"
            )
        target = "" if np.isnan(row["target"]) else f"{row['target']:.3f}"
        assert readers.get(metric, "") == target
    first = blocks[1].split("### ")[2].split("\n\n")[1]
    names = [line.split(" | ")[0][2:] for line in first.splitlines()]
    baselines = [labels_of_models({})[name] for name in BASELINES]
    assert names == ["model", "---", "unet", "prob_unet", *LEVELS, TARGET, "*baselines*", *baselines]
    of_means = blocks[1].split("### Mask of the mean probability\n\n")[1].split("\n\n")[0]
    names = [line.split(" | ")[0][2:] for line in of_means.splitlines()]
    assert names == ["model", "---", "unet", "prob_unet", "*baselines*", *baselines]
    assert "-0.000" not in text and "nan" not in text
    assert max(len(line) for line in text.splitlines() if line.startswith("|")) <= WIDTH


def test_markdown_has_a_block_for_a_metric_that_it_does_not_know(study, monkeypatch):
    monkeypatch.setitem(METRICS, "a_new_metric", METRICS["dice"])
    table = read(study, "summary")
    new = table[table["metric"] == "dice"].assign(metric="a_new_metric")
    assert "### Others\n\n| model | seeds | Dice ↑ |" in markdown_of(study[0], pd.concat([table, new]))


def test_markdown_describes_every_metric(study):
    columns = markdown_of(study[0]).split("\n## Columns\n")[1].strip().splitlines()
    assert columns == [f"- {metric.label} (`{name}`): {metric.meaning}." for name, metric in METRICS.items()]


def test_headline_metrics_are_those_of_the_tables(study):
    heads = heads_of(study[0])
    titles = ["Dice ↑", "GED² ↓", "coupling gain ↓", "− level sets of the U-Net", "cross-entropy ↓", "AUGRC ↓"]
    # With one annotator, the energy distance says no more than the masks.
    assert {name: head.columns for name, head in heads.items()} == {
        "phantom": titles,
        "skin": [titles[0], *titles[4:]],
    }
    own = {"dataset": "phantom", "model": "prob_unet"}
    mean = one(read(study, "summary"), **own, metric="dice_cut")["mean"]
    augrc_ = one(read(study, "failure_detection"), **own, aggregation="foreground", map="entropy")["augrc"]
    pair = {"dataset": "phantom", "metric": "ged_u", "model_a": "prob_unet", "model_b": "unet+levels"}
    difference = one(read(study, "comparisons"), **pair)["difference"]
    shown = [float(value.split()[0]) for value in heads["phantom"].rows["prob_unet"]]
    gain = one(read(study, "summary"), **own, metric="coupling_gain")["mean"]
    assert [shown[i] for i in (0, 2, 3, 5)] == pytest.approx([mean, gain, difference, augrc_], abs=0.0051)
    # Level sets have what does not depend on samples from their model.
    assert list(heads["phantom"].rows) == ["unet", "prob_unet", "level sets of unet", "level sets of prob_unet"]
    of_levels = heads["phantom"].rows["level sets of prob_unet"]
    assert [bool(value) for value in of_levels] == [False, True, False, True, False, False]
    pair |= {"model_a": "prob_unet+levels"}
    assert float(of_levels[3].split()[0]) == pytest.approx(
        one(read(study, "comparisons"), **pair)["difference"], abs=0.0006
    )
    assert list(heads["skin"].rows) == ["unet", "prob_unet"]


def test_best_is_marked_where_it_differs_from_all_others(study):
    pairs = read(study, "comparisons")
    parts = read(study, "summary"), pairs.assign(p_holm=1.0), read(study, "failure_detection")
    labels = {"unet": "U-Net", "prob_unet": "Prob. U-Net"}
    assert headline(*parts, labels, "unet")["phantom"].best == {}
    surely = pairs.assign(p_holm=np.where(pairs["metric"] == "dice_cut", 1e-3, 1.0))
    heads = headline(parts[0], surely, parts[2], labels, "unet")
    dice = read(study, "summary").query("dataset == 'phantom' and metric == 'dice_cut'").set_index("model")["mean"]
    best = labels[dice[[*labels]].idxmax()]
    assert heads["phantom"].best == {0: best}
    latex = summary_latex(heads, {"phantom": "Phantom"})
    assert latex.count(r"\textbf") == 2 and latex.count(r"\toprule") == 2  # one of each dataset
    assert r"GED$^2$ $\downarrow$" in latex and "% Phantom\n" in latex


def test_empty_masks_are_counted_where_most_annotators_mark_something(study):
    scores = of_cell(study[1], "phantom", "unet")
    marked = scores[scores["votes"] * 2 >= scores["annotators"]]
    row = one(read(study, "empty_masks"), dataset="phantom", model="unet")
    assert (row["n_empty"], row["n_marked"]) == ((marked["pixels_predicted"] == 0).sum(), len(marked))
    # Annotators who mark nothing agree with an empty mask, the others do not.
    empty = marked[marked["pixels_predicted"] == 0]
    assert (empty["dice"] == 1 - empty["votes"] / empty["annotators"]).all()


def test_wide_table_has_a_row_per_image_and_a_column_per_model_and_metric(study):
    wide = read(study, "images_wide")
    assert len(wide) == 2 * 2 * IMAGES  # datasets, seeds
    scores = of_cell(study[1], "skin", "prob_unet").set_index(["seed", "image_id"])["dice"]
    of_skin = wide[wide["dataset"] == "skin"].set_index(["seed", "image_id"])["prob_unet.dice"]
    assert of_skin[scores.index].to_numpy() == pytest.approx(scores.to_numpy(), nan_ok=True)


def test_same_scores_same_bytes(study, tmp_path, monkeypatch):
    folder, _, files = study
    write_tables(monkeypatch, files["data"], folder.parent / "scores", tmp_path)
    written = sorted(path.name for path in tmp_path.iterdir())
    assert written == sorted(path.name for path in folder.iterdir())
    assert len(written) == len(TABLES)
    for name in written:
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes(), name


def test_scores_of_another_dataset_are_refused(study):
    _, _, files = study
    with pytest.raises(UserError, match="is of the dataset skin, whose store is not given"):
        read_cells(files["images"], ["phantom"])


def test_seeds_in_which_a_value_is_undefined_do_not_enter_its_mean(tmp_path):
    """Seed 0 has no wrong pixel on image b, both seeds have none on image c."""
    values = {("a", 0): 0.5, ("a", 1): 0.7, ("b", 0): "nan", ("b", 1): 0.9, ("c", 0): "nan", ("c", 1): "nan"}
    path = tmp_path / "images.csv"
    with path.open("w", newline="") as file:
        rows = csv.DictWriter(file, COLUMNS, restval=1)
        rows.writeheader()
        for (image, seed), value in values.items():
            keys = {"dataset": "d", "model": "m", "seed": seed, "image_id": image, "patient_id": image}
            rows.writerow({**keys, "error_auroc": value})
    (cell,) = read_cells([path], ["d"])
    row = one(tables.summary([cell], 0.95), metric="error_auroc")
    assert row["mean"] == pytest.approx((0.5 + (0.7 + 0.9) / 2) / 2)
    assert (row["n_images"], row["n_undefined"], row["n_seeds"]) == (2, 1, 2)
    assert row["seed_sd"] == pytest.approx(np.std([0.5, 0.8], ddof=1))


def test_a_pixels_file_without_rows(tmp_path, study):
    _, _, files = study
    cells = read_cells(files["images"][:1], ["phantom"])
    path = tmp_path / "pixels.csv.gz"
    path.write_bytes(gzip.compress((",".join(HISTOGRAM_COLUMNS) + "\n").encode()))
    assert tables.entropy_histograms([path], cells).empty


def entries(dataset, model, seeds, why):
    """Missing jobs as the spec lists them; `model` may be a baselines' step, whose jobs have no model."""
    job = {"step": model, "model": ""} if model in WHERE else {"step": "evaluate", "model": model}
    return [{**job, "dataset": dataset, "seed": seed, "why": why} for seed in seeds]


HOLES = [
    *entries("phantom", "unet", [0, 1], "train failed: segunc: the loss is nan <in step\n3>."),
    *entries("phantom", "prob_unet", [1], "sample failed: out of memory"),
    *entries("skin", "baselines", [0, 1], "baselines failed: disk full"),
]


@pytest.fixture(scope="module")
def holes(study, tmp_path_factory):
    """The tables without HOLES."""
    whole, _, files = study
    folder = tmp_path_factory.mktemp("holes")
    with pytest.MonkeyPatch.context() as monkeypatch:
        write_tables(monkeypatch, files["data"], whole.parent / "scores", folder, HOLES)
    return folder


def test_missing_table_lists_what_is_missing(study, holes):
    table = read_table(holes, "missing")
    rows = [
        [entry["dataset"], model, entry["seed"], entry["why"]]
        for entry in HOLES
        for model in (BASELINES if entry["step"] == "baselines" else [entry["model"]])
    ]
    assert table.values.tolist() == rows
    assert "phantom,unet,0," in (holes / "missing.csv").read_text()
    assert (study[0] / "missing.csv").read_text() == "dataset,model,seed,why\n"


def test_missing_cells_have_rows_in_their_place(holes):
    table = read_table(holes, "summary")
    order = ["unet", "prob_unet", *LEVELS, *BASELINES]
    for dataset, metrics in (("phantom", tuple(METRICS)), ("skin", OF_SKIN)):
        rows = table[table["dataset"] == dataset]
        assert rows["model"].tolist() == [model for model in order for _ in metrics]
        assert rows["metric"].tolist() == list(metrics) * len(order)
    lost = [("phantom", "unet"), ("phantom", "unet+levels"), *(("skin", model) for model in BASELINES)]
    rows = table.set_index(["dataset", "model"]).loc[lost]
    assert rows[["mean", "ci_low", "ci_high", "seed_sd"]].isna().all(axis=None)
    assert (rows[["n_seeds", "n_images", "n_patients", "n_undefined"]] == 0).all(axis=None)


def test_what_is_left_is_counted_alone(study, holes):
    _, scores, _ = study
    whole, table = read(study, "summary"), read_table(holes, "summary")
    one_seed = scores[(scores["dataset"] == "phantom") & (scores["model"] == "prob_unet") & (scores["seed"] == 0)]
    row = one(table, dataset="phantom", model="prob_unet", metric="ged_16")
    assert row["mean"] == pytest.approx(one_seed["ged_16"].mean())
    assert (row["n_seeds"], row["n_images"]) == (1, IMAGES) and isnan(row["seed_sd"])
    keep = (table["n_images"] + table["n_undefined"] > 0) & ~(
        (table["dataset"] == "phantom") & table["model"].isin(["prob_unet", "prob_unet+levels"])
    )
    cells = ["dataset", "model", "metric"]
    same = whole.set_index(cells).loc[table[keep].set_index(cells).index].reset_index()
    pd.testing.assert_frame_equal(table[keep].reset_index(drop=True)[list(same)], same)
    assert keep.sum() == 4 * len(METRICS) + 4 * len(OF_SKIN)


def test_missing_cells_in_the_other_tables(study, holes):
    for kind, groups in (("outcome", GROUPS[:4]), ("agreement", GROUPS[4:])):
        table = read_table(holes, f"uncertainty_by_{kind}")
        assert set(table["model"]) == {"unet", "prob_unet", "baseline_readings"}
        assert len(table) == 2 * 3 * len(groups)
        rows = table[(table["dataset"] == "phantom") & (table["model"] == "unet")]
        assert rows[kind].tolist() == list(groups)
        assert rows[["mean", "ci_low", "ci_high", "q25", "median", "q75"]].isna().all(axis=None)
        assert (rows[["n_seeds", "n_images", "n_patients", "n_pixels", "n_undefined"]] == 0).all(axis=None)
    of_phantom = {("phantom", "unet"), ("phantom", "unet+levels")}
    for name, of_skin in (("entropy_histograms", BASELINES[-1:]), ("ged_by_votes", BASELINES)):
        whole, table = (read_table(folder, name).set_index(["dataset", "model"]).index for folder in (study[0], holes))
        lost = of_phantom & {*whole} | {("skin", model) for model in of_skin}
        assert set(whole) - set(table) == lost and ("phantom", "unet") in lost
        assert (table == ("phantom", "prob_unet")).sum() == (whole == ("phantom", "prob_unet")).sum()
    whole, table = read(study, "comparisons"), read_table(holes, "comparisons")
    of_phantom = table[table["dataset"] == "phantom"]
    assert of_phantom[["model_a", "model_b"]].values.tolist() == [["prob_unet", "prob_unet+levels"]]
    of_skin = (part[part["dataset"] == "skin"].reset_index(drop=True) for part in (table, whole))
    pd.testing.assert_frame_equal(*of_skin)
    for name in ("failure_detection", "risk_coverage", "calibration", "reliability"):
        whole, table = (read_table(folder, name).set_index(["dataset", "model"]).index for folder in (study[0], holes))
        of_skin = {("skin", model) for model in BASELINES if ("skin", model) in whole}
        assert set(whole) - set(table) == {("phantom", "unet")} | of_skin
        assert not {*whole} & {(dataset, name) for dataset in ("phantom", "skin") for name in LEVELS}
        assert ("skin", "baseline_readings") in of_skin
    assert ("phantom", "unet") not in set(map(tuple, read_table(holes, "exclusions")[["dataset", "model"]].to_numpy()))


def test_markdown_begins_with_what_is_missing(holes):
    lines = markdown_of(holes).splitlines()
    assert lines[2].startswith("**Incomplete.**")
    assert lines[4:7] == [
        "- **phantom**: unet (seed 0, 1): train failed: segunc: the loss is nan \\<in step 3>.",
        "- **phantom**: prob_unet (seed 1): sample failed: out of memory",
        "- **skin**: empty mask (seed 0, 1), image-agnostic masks (seed 0, 1), one annotator (seed 0, 1), "
        "the annotators' masks (seed 0, 1): baselines failed: disk full",
    ]
    assert lines[7] == "" and lines[8].startswith("`mean [low, high]`")
    rows = [line for line in lines if line.startswith("| unet | 0 |")]
    assert rows and set("".join(rows).replace("unet", "")) == {*"| 0–"}
    assert "nan" not in "".join(lines[9:])
    assert len([line for line in lines if line.startswith("| prob_unet | 1 |")]) == len(rows)


def test_markdown_of_a_whole_study_has_no_warning(study):
    assert "ncomplete" not in markdown_of(study[0])


def test_missing_dataset_keeps_its_place(study, tmp_path, monkeypatch):
    whole, _, files = study
    lost = [entry for model in ("unet", "prob_unet") for entry in entries("phantom", model, [0, 1], "prepare failed")]
    lost += entries("phantom", "baselines", [0, 1], "prepare failed")
    write_tables(monkeypatch, files["data"][1:], whole.parent / "scores", tmp_path, lost)
    table = read_table(tmp_path, "summary")
    assert list(dict.fromkeys(table["dataset"])) == ["phantom", "skin"]
    assert (table[table["dataset"] == "phantom"]["n_images"] == 0).all()
    whole = read(study, "summary")
    pd.testing.assert_frame_equal(
        table[table["dataset"] == "skin"].reset_index(drop=True),
        whole[whole["dataset"] == "skin"].reset_index(drop=True),
    )
    text = markdown_of(tmp_path)
    assert "## phantom\n\nNo scores: see above.\n" in text
    reason = "- **phantom**: unet (seed 0, 1), prob_unet (seed 0, 1), empty mask (seed 0, 1), "
    assert reason in text and text.count("prepare failed") == 1


def test_all_missing(tmp_path, monkeypatch):
    lost = entries("phantom", "unet", [0, 1], "prepare failed") + entries("phantom", "baselines", [0, 1], "no disk")
    grid = {"datasets": ["phantom"], "models": ["unet"]}
    write_tables(monkeypatch, [], tmp_path / "nothing", tmp_path, lost, **grid)
    table = read_table(tmp_path, "summary")
    assert len(table) == 6 * len(OF_SKIN) and table["mean"].isna().all() and (table["n_seeds"] == 0).all()
    assert len(read_table(tmp_path, "uncertainty_by_outcome")) == 2 * 4
    filled = {"summary", "uncertainty_by_outcome", "uncertainty_by_agreement", "missing", "empty_masks"}
    for name in set(TABLES) - filled:
        assert read_table(tmp_path, name).empty
    assert "no disk" in markdown_of(tmp_path)
