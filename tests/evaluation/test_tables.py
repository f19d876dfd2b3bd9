import csv
import gzip
import json
import shutil
from math import isnan

import numpy as np
import pandas as pd
import pytest
from helpers.study import SHAPE, random_draws, run, write_dataset, write_samples

from segunc.cells import Cell, scored
from segunc.evaluation import tables
from segunc.evaluation.scores import BINS, COLUMNS, GROUPS, HISTOGRAM_COLUMNS, SCORES
from segunc.evaluation.statistics import clustered_mean, holm, paired_comparison
from segunc.evaluation.tables import read_cells
from segunc.metrics.registry import METRICS
from segunc.runtime.errors import UserError
from segunc.stages import baseline_threshold, baselines, evaluate, tabulate

SPEC = {"resamples": 200, "confidence": 0.9, "seed": 4}
OF_DATA = ["baseline_empty", "baseline_blind", "baseline_annotator", "baseline_oracle"]
TABLES = ["summary", "uncertainty_by_outcome", "uncertainty_by_agreement", "entropy_histograms", "ged_by_votes"]
TABLES += ["comparisons", "exclusions", "missing"]
WHERE = {
    "evaluate": "{dataset}/{model}/seed{seed}",
    "baselines": "{dataset}/baselines",
    "baseline_threshold": "{dataset}/baseline_threshold/seed{seed}",
}


def write_tables(monkeypatch, data, scores, output, missing=(), **grid):
    """Runs the stage on the scores that are not missing, of two datasets with two models and seeds or another grid."""
    whole = {"datasets": ["phantom", "skin"], "models": ["unet", "prob_unet"], "seeds": [0, 1], "threshold": True}
    whole |= grid
    spec = json.dumps({"statistics": SPEC, **whole, "missing": list(missing)})
    lost = [(entry["step"], Cell(entry["dataset"], entry["model"], seed=entry["seed"])) for entry in missing]
    folders = [cell.fill(WHERE[step]) for step, cell in scored(**whole) if (step, cell) not in lost]
    files = {
        option: [scores / folder / file for folder in folders]
        for option, file in (("images", "images.csv"), ("pixels", "pixels.csv.gz"))
    }
    written = {"markdown": output / "summary.md", "tables": [output / f"{name}.csv" for name in TABLES]}
    run(tabulate, monkeypatch, spec=spec, data=data, **files, **written)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Two datasets (`phantom` has a truth, `skin` one annotator), two models with two seeds, all baselines, tables."""
    folder = tmp_path_factory.mktemp("study")
    files = {"data": [], "images": [], "pixels": []}

    def outputs(*cell):
        where = folder.joinpath("scores", *cell)
        out = {"images": where / "images.csv", "pixels": where / "pixels.csv.gz"}
        files["images"].append(out["images"])
        files["pixels"].append(out["pixels"])
        return {"scores": list(out.values())}

    with pytest.MonkeyPatch.context() as monkeypatch:
        for dataset, options in (
            ("phantom", {"truth": True, "exclusions": {"mask of another size": 2, "unreadable": 1}}),
            ("skin", {"annotators": 1}),
        ):
            data = folder / f"{dataset}.h5"
            ids = [r.image_id for r in write_dataset(data, **options)]
            files["data"].append(data)
            for seed in (0, 1):
                draws = random_draws(6, seed)
                for model, kind, of_model in (
                    ("unet", "exact", np.repeat(draws[:, :1], 16, axis=1)),
                    ("prob_unet", "independent", draws),
                ):
                    samples = folder / f"{dataset}-{model}-{seed}.h5"
                    write_samples(samples, ids, of_model, kind)
                    named = {"data": data, "samples": samples, "dataset": dataset, "seed": seed}
                    run(evaluate, monkeypatch, **named, model=model, **outputs(dataset, model, f"seed{seed}"))
                    if model == "unet":
                        run(
                            baseline_threshold,
                            monkeypatch,
                            **named,
                            **outputs(dataset, "baseline_threshold", f"seed{seed}"),
                        )
            run(baselines, monkeypatch, data=data, dataset=dataset, **outputs(dataset, "baselines"))
        write_tables(monkeypatch, files["data"], folder / "scores", folder / "tables")
    undefined = {score: ["nan"] for score in SCORES}
    options = {"dtype": {"image_id": str}, "keep_default_na": False, "na_values": undefined}
    scores = pd.concat([pd.read_csv(path, **options) for path in files["images"]])
    return folder / "tables", scores, files


def read(study, name):
    return read_table(study[0], name)


def read_table(folder, name):
    return pd.read_csv(folder / f"{name}.csv", keep_default_na=False, na_values=[""])


def one(frame, **values):
    """The only row with these values."""
    for name, value in values.items():
        frame = frame[frame[name] == value]
    assert len(frame) == 1
    return frame.iloc[0]


def image_means(scores, dataset, model, column):
    """Per image the mean over seeds, and its patient, by loops."""
    cell = scores[(scores["dataset"] == dataset) & (scores["model"] == model)]
    values, patients = [], []
    for image in dict.fromkeys(cell["image_id"]):
        of_image = cell[cell["image_id"] == image]
        defined = [value for value in of_image[column] if not isnan(value)]
        values.append(sum(defined) / len(defined) if defined else float("nan"))
        patients.append(of_image["patient_id"].iloc[0])
    return values, patients


@pytest.mark.parametrize("model", ["unet", "prob_unet", "baseline_oracle", "baseline_threshold"])
@pytest.mark.parametrize("metric", METRICS)
def test_summary_is_the_clustered_mean_of_the_seeds_mean(study, model, metric):
    _, scores, _ = study
    row = one(read(study, "summary"), dataset="phantom", model=model, metric=metric)
    expected = clustered_mean(*image_means(scores, "phantom", model, metric), **SPEC)
    assert row[list(expected._fields)].tolist() == pytest.approx(list(expected), rel=1e-7, abs=1e-9, nan_ok=True)
    assert row["n_images"] + row["n_undefined"] == 6
    cell = scores[(scores["dataset"] == "phantom") & (scores["model"] == model)]
    seeds = [cell[cell["seed"] == seed][metric].mean() for seed in sorted(set(cell["seed"]))]
    assert row["n_seeds"] == len(seeds)
    expected_sd = np.std(seeds, ddof=1) if len(seeds) > 1 else float("nan")
    assert row["seed_sd"] == pytest.approx(expected_sd, rel=1e-6, abs=1e-9, nan_ok=True)


@pytest.mark.parametrize(
    "ids", [("inf", "true", "false"), ("true", "nan", "inf"), ("null", "none", "na"), ("nan", "e3", "on")]
)
def test_ids_that_look_like_other_values(study, tmp_path, monkeypatch, ids):
    """The tables are those of other ids."""
    named = dict(zip(("phantom", "unet", "prob_unet"), ids, strict=True))

    def renamed(text):
        return [[named.get(field, field) for field in row] for row in csv.reader(text.splitlines())]

    for source in filter(lambda path: "phantom" in path.parts, [*study[2]["images"], *study[2]["pixels"]]):
        opened = gzip.open if source.suffix == ".gz" else open
        parts = [named.get(part, part) for part in source.relative_to(study[2]["data"][0].parent).parts]
        target = tmp_path.joinpath(*parts)
        target.parent.mkdir(parents=True, exist_ok=True)
        with opened(source, "rt") as before, opened(target, "wt", newline="") as after:
            csv.writer(after, lineterminator="\n").writerows(renamed(before.read()))
    store = study[2]["data"][0]
    shutil.copy(store, tmp_path / f"{ids[0]}.h5")
    grid = {"datasets": ["phantom"], "models": ["unet", "prob_unet"]}
    write_tables(monkeypatch, [store], store.parent / "scores", tmp_path / "before", **grid)
    grid = {"datasets": [ids[0]], "models": list(ids[1:])}
    write_tables(monkeypatch, [tmp_path / f"{ids[0]}.h5"], tmp_path / "scores", tmp_path / "after", **grid)
    for name in TABLES:
        before, after = ((tmp_path / when / f"{name}.csv").read_text() for when in ("before", "after"))
        assert list(csv.reader(after.splitlines())) == renamed(before), name


def test_order_is_that_of_the_files_then_the_baselines_and_of_the_metrics(study):
    table = read(study, "summary")
    assert list(dict.fromkeys(table["dataset"])) == ["phantom", "skin"]
    assert list(dict.fromkeys(table["model"])) == ["unet", "prob_unet", *OF_DATA, "baseline_threshold"]
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
    judged = {"unet", "prob_unet", "baseline_threshold", "baseline_oracle"}
    assert set(table["model"]) == judged
    assert len(table) == 2 * 4 * len(groups)
    for group in groups:
        values, patients = image_means(scores, "phantom", "prob_unet", f"entropy_{group}")
        row = one(table, **{"dataset": "phantom", "model": "prob_unet", kind: group})
        expected = clustered_mean(values, patients, **SPEC)
        assert row[list(expected._fields)].tolist() == pytest.approx(list(expected), rel=1e-7, nan_ok=True)
        if expected.n_images:
            quartiles = np.nanquantile(values, [0.25, 0.5, 0.75])
            np.testing.assert_allclose(row[["q25", "median", "q75"]].astype(float), quartiles, rtol=1e-7)
        cell = scores[(scores["dataset"] == "phantom") & (scores["model"] == "prob_unet")]
        assert row["n_pixels"] == cell[f"pixels_{group}"].sum()
    defined = table[table["n_images"] > 0]
    assert len(defined) >= 8


def test_agreement_of_one_annotator_is_undefined_but_there(study):
    row = one(read(study, "uncertainty_by_agreement"), dataset="skin", model="unet", agreement="disagree")
    assert (row["n_images"], row["n_pixels"], row["n_undefined"]) == (0, 0, 6)
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
    metric = table[(table["dataset"] == "phantom") & (table["model"] == "unet") & (table["metric"] == "ged_16")]
    assert metric["votes"].tolist() == [0, 1, 2, 3, 4]
    assert metric["n_images"].tolist() == [1, 1, 1, 1, 2]
    unet = scores[(scores["dataset"] == "phantom") & (scores["model"] == "unet")]
    four = unet[unet["votes"] == 4]["ged_16"].mean()
    assert one(metric, votes=4)["mean"] == pytest.approx(four)
    assert set(table["metric"]) == {m for m in METRICS if m.startswith("ged")}
    # One image is one patient: no interval.
    assert isnan(one(metric, votes=1)["ci_low"])


def test_comparisons_are_paired_and_corrected_within_dataset_and_metric(study):
    _, scores, _ = study
    table = read(study, "comparisons")
    pairs = [("unet", "prob_unet"), ("unet", "baseline_threshold"), ("prob_unet", "baseline_threshold")]
    metrics = ["ged_16", "ged_u_16", "dice", "cross_entropy"]
    for dataset in ("phantom", "skin"):
        for metric in metrics:
            family = table[(table["dataset"] == dataset) & (table["metric"] == metric)]
            assert list(zip(family["model_a"], family["model_b"], strict=True)) == pairs
            np.testing.assert_allclose(family["p_holm"], holm(family["p"]), rtol=1e-7)
    assert len(table) == 2 * 4 * 3
    first, patients = image_means(scores, "phantom", "unet", "ged_16")
    second, _ = image_means(scores, "phantom", "prob_unet", "ged_16")
    expected = paired_comparison(first, second, patients, **SPEC)
    row = one(table, dataset="phantom", metric="ged_16", model_a="unet", model_b="prob_unet")
    assert row[list(expected._fields)].tolist() == pytest.approx(list(expected), rel=1e-6)
    assert row["difference"] != 0
    # The thresholded U-Net has the U-Net's own probability map.
    row = one(table, dataset="phantom", metric="dice", model_a="unet", model_b="baseline_threshold")
    assert (row["difference"], row["p"]) == (0, 1)


def test_exclusions_say_why(study):
    table = read(study, "exclusions").fillna("")
    dropped = table[table["what"] == "images"]
    assert dropped[["dataset", "model", "reason", "n_excluded", "n_total"]].values.tolist() == [
        ["phantom", "", "mask of another size", 2, 21],
        ["phantom", "", "unreadable", 1, 21],
    ]
    expected = {
        ("phantom", "baseline_empty", "cross_entropy"): "the masks of baseline_empty are no probabilities",
        ("skin", "baseline_annotator", "ged_16"): "the image has one annotator only",
        ("skin", "unet", "entropy_disagree"): "no pixel on which the annotators are split in halves",
        ("skin", "baseline_oracle", "error_auroc"): "no pixel of the thresholded mean is wrong, or all are",
    }
    for (dataset, model, what), reason in expected.items():
        row = one(table, dataset=dataset, model=model, what=what)
        assert (row["reason"], row["n_excluded"], row["n_total"]) == (reason, 6, 6)
    assert "the score is not a number" not in set(table["reason"])


def test_exclusions_count_what_the_summary_leaves_out(study):
    counted = read(study, "exclusions").set_index(["dataset", "model", "what"])["n_excluded"]
    for row in read(study, "summary").itertuples():
        assert counted.get((row.dataset, row.model, row.metric), 0) == row.n_undefined


def test_markdown_has_every_number_of_the_summary(study):
    text = (study[0] / "summary.md").read_text(encoding="utf-8")
    blocks = text.split("\n## ")
    assert [block.split("\n")[0] for block in blocks[1:]] == ["phantom", "skin", "Columns"]
    assert "6 test images of 3 patients." in blocks[1]
    lines = blocks[1].splitlines()
    rows = [line for line in lines if line.startswith("| unet |")]
    cells = [cell.strip() for line in rows for cell in line.split("|")[3:-1]]
    summary = read(study, "summary")
    expected = summary[(summary["dataset"] == "phantom") & (summary["model"] == "unet")]
    assert len(cells) == len(expected) == len(METRICS)
    for cell, row in zip(cells, expected.itertuples(), strict=True):
        assert cell.startswith(f"{row.mean:.3f} [{row.ci_low:.3f}, {row.ci_high:.3f}]")
        assert cell.endswith(f"({row.n_images})") == (row.n_undefined > 0)
    for baseline in ("baseline_empty", "baseline_threshold"):
        at = next(i for i, line in enumerate(lines) if line.startswith(f"| {baseline} |"))
        apart = next(i for i, line in enumerate(lines) if line.startswith("| *baselines* |"))
        assert at > apart > next(i for i, line in enumerate(lines) if line.startswith("| prob_unet |"))
    assert "-0.000" not in text and "nan" not in text
    # Two tables: models, seeds and 7 or 6 metrics.
    assert {line.count("|") for line in lines if line.startswith("|")} == {10, 9}


def test_markdown_describes_every_metric(study):
    columns = (study[0] / "summary.md").read_text(encoding="utf-8").split("\n## Columns\n")[1].strip().splitlines()
    assert columns == [f"- `{name}`: {metric.meaning}." for name, metric in METRICS.items()]


def test_same_scores_same_bytes(study, tmp_path, monkeypatch):
    folder, _, files = study
    write_tables(monkeypatch, files["data"], folder.parent / "scores", tmp_path)
    written = sorted(path.name for path in tmp_path.iterdir())
    assert written == sorted(path.name for path in folder.iterdir())
    assert len(written) == 9
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
    assert cell.images["error_auroc"].tolist() == pytest.approx([0.6, 0.9, float("nan")], nan_ok=True)
    row = one(tables.summary([cell], SPEC), metric="error_auroc")
    assert row["mean"] == pytest.approx(0.75)
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
    *entries("phantom", "baseline_threshold", [0, 1], "train failed: segunc: the loss is nan <in step\n3>."),
    *entries("skin", "baselines", [""], "baselines failed: disk full"),
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
    rows = [(e["dataset"], e["model"] or e["step"], e["seed"], e["why"]) for e in HOLES[:-1]]
    rows += [("skin", model, None, "baselines failed: disk full") for model in OF_DATA]
    assert table.astype(object).where(table.notna(), None).values.tolist() == [list(row) for row in rows]
    assert "phantom,unet,0," in (holes / "missing.csv").read_text()
    assert (study[0] / "missing.csv").read_text() == "dataset,model,seed,why\n"


def test_missing_cells_have_rows_in_their_place(holes):
    table = read_table(holes, "summary")
    order = ["unet", "prob_unet", *OF_DATA, "baseline_threshold"]
    for dataset, metrics in (("phantom", tuple(METRICS)), ("skin", tuple(METRICS)[:-1])):
        rows = table[table["dataset"] == dataset]
        assert rows["model"].tolist() == [model for model in order for _ in metrics]
        assert rows["metric"].tolist() == list(metrics) * len(order)
    lost = [("phantom", "unet"), ("phantom", "baseline_threshold"), *(("skin", model) for model in OF_DATA)]
    rows = table.set_index(["dataset", "model"]).loc[lost]
    assert rows[["mean", "ci_low", "ci_high", "seed_sd"]].isna().all(axis=None)
    assert (rows[["n_seeds", "n_images", "n_patients", "n_undefined"]] == 0).all(axis=None)


def test_what_is_left_is_counted_alone(study, holes):
    _, scores, _ = study
    whole, table = read(study, "summary"), read_table(holes, "summary")
    one_seed = scores[(scores["dataset"] == "phantom") & (scores["model"] == "prob_unet") & (scores["seed"] == 0)]
    row = one(table, dataset="phantom", model="prob_unet", metric="ged_16")
    assert row["mean"] == pytest.approx(one_seed["ged_16"].mean())
    assert (row["n_seeds"], row["n_images"]) == (1, 6) and isnan(row["seed_sd"])
    keep = (table["n_seeds"] > 0) & ~((table["dataset"] == "phantom") & (table["model"] == "prob_unet"))
    cells = ["dataset", "model", "metric"]
    same = whole.set_index(cells).loc[table[keep].set_index(cells).index].reset_index()
    pd.testing.assert_frame_equal(table[keep].reset_index(drop=True)[list(same)], same)
    assert keep.sum() == 13 * 4 + 12 * 3


def test_missing_cells_in_the_other_tables(study, holes):
    for kind, groups in (("outcome", GROUPS[:4]), ("agreement", GROUPS[4:])):
        table = read_table(holes, f"uncertainty_by_{kind}")
        assert set(table["model"]) == {"unet", "prob_unet", "baseline_threshold", "baseline_oracle"}
        assert len(table) == 2 * 4 * len(groups)
        rows = table[(table["dataset"] == "phantom") & (table["model"] == "unet")]
        assert rows[kind].tolist() == list(groups)
        assert rows[["mean", "ci_low", "ci_high", "q25", "median", "q75"]].isna().all(axis=None)
        assert (rows[["n_seeds", "n_images", "n_patients", "n_pixels", "n_undefined"]] == 0).all(axis=None)
    of_phantom = {("phantom", "unet"), ("phantom", "baseline_threshold")}
    for name, of_skin in (("entropy_histograms", OF_DATA[-1:]), ("ged_by_votes", OF_DATA)):
        whole, table = (read_table(folder, name).set_index(["dataset", "model"]).index for folder in (study[0], holes))
        assert set(whole) - set(table) == of_phantom | {("skin", model) for model in of_skin}
        assert (table == ("phantom", "prob_unet")).sum() == (whole == ("phantom", "prob_unet")).sum()
    whole, table = read(study, "comparisons"), read_table(holes, "comparisons")
    pd.testing.assert_frame_equal(table, whole[whole["dataset"] == "skin"].reset_index(drop=True))
    assert ("phantom", "unet") not in set(map(tuple, read_table(holes, "exclusions")[["dataset", "model"]].to_numpy()))


def test_markdown_begins_with_what_is_missing(holes):
    lines = (holes / "summary.md").read_text(encoding="utf-8").splitlines()
    assert lines[2].startswith("**Incomplete.**")
    assert lines[4:7] == [
        "- **phantom**: unet (seed 0, 1), baseline_threshold (seed 0, 1): "
        "train failed: segunc: the loss is nan \\<in step 3>.",
        "- **phantom**: prob_unet (seed 1): sample failed: out of memory",
        f"- **skin**: {', '.join(OF_DATA)}: baselines failed: disk full",
    ]
    assert lines[7] == "" and lines[8].startswith("`mean [low, high]`")
    rows = [line for line in lines if line.startswith("| unet |")]
    assert rows[0] == "| unet | 0 | – | – | – | – | – | – | – |"
    assert "6 test images of 3 patients." in lines and "nan" not in "".join(lines[9:])
    assert len([line for line in lines if line.startswith("| prob_unet | 1 |")]) == 2


def test_markdown_of_a_whole_study_has_no_warning(study):
    assert "ncomplete" not in (study[0] / "summary.md").read_text(encoding="utf-8")


def test_missing_dataset_keeps_its_place(study, tmp_path, monkeypatch):
    whole, _, files = study
    lost = [entry for model in ("unet", "prob_unet") for entry in entries("phantom", model, [0, 1], "prepare failed")]
    lost += entries("phantom", "baselines", [""], "prepare failed")
    lost += entries("phantom", "baseline_threshold", [0, 1], "prepare failed")
    write_tables(monkeypatch, files["data"][1:], whole.parent / "scores", tmp_path, lost)
    table = read_table(tmp_path, "summary")
    assert list(dict.fromkeys(table["dataset"])) == ["phantom", "skin"]
    assert (table[table["dataset"] == "phantom"]["n_images"] == 0).all()
    whole = read(study, "summary")
    pd.testing.assert_frame_equal(
        table[table["dataset"] == "skin"].reset_index(drop=True),
        whole[whole["dataset"] == "skin"].reset_index(drop=True),
    )
    text = (tmp_path / "summary.md").read_text(encoding="utf-8")
    assert "## phantom\n\nNo scores: see above.\n" in text
    reason = "- **phantom**: unet (seed 0, 1), prob_unet (seed 0, 1), baseline_empty, "
    assert reason in text and text.count("prepare failed") == 1


def test_all_missing(tmp_path, monkeypatch):
    lost = entries("phantom", "unet", [0, 1], "prepare failed") + entries("phantom", "baselines", [""], "no disk")
    grid = {"datasets": ["phantom"], "models": ["unet"], "threshold": False}
    write_tables(monkeypatch, [], tmp_path / "nothing", tmp_path, lost, **grid)
    table = read_table(tmp_path, "summary")
    assert len(table) == 12 * 5 and table["mean"].isna().all() and (table["n_seeds"] == 0).all()
    assert len(read_table(tmp_path, "uncertainty_by_outcome")) == 2 * 4
    for name in ("entropy_histograms", "ged_by_votes", "comparisons", "exclusions"):
        assert read_table(tmp_path, name).empty
    assert "no disk" in (tmp_path / "summary.md").read_text()
