import csv
import os
import re
import shutil
import subprocess
import sys
from dataclasses import MISSING, fields, replace
from math import isnan
from pathlib import Path

import numpy as np
import pytest
from helpers import definitions
from helpers.study import energy_distances
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import segunc
from segunc.metrics import ged
from segunc.metrics.border import band
from segunc.metrics.overlap import dice, iou
from segunc.metrics.registry import INPUTS, METRICS, Inputs, Metric, _registered, _selected
from segunc.metrics.uncertainty import entropy

H, W = 3, 4
NEEDED = [field.name for field in fields(Metric) if field.default is MISSING]


def inputs(samples, annotations, *, exact=False, truth=None, cut=0.5, **changes):
    """What metrics need, of samples whose probabilities are 0.02 and 0.98."""
    p = samples.clip(0.02, 0.98)
    mean, expected = p.mean(axis=0), entropy(p).mean(axis=0)
    maps = {"uncertainty": entropy(mean), "expected_entropy": expected, "mutual_information": entropy(mean) - expected}
    maps |= {"log_foreground": np.log(p).mean(axis=0), "log_background": np.log(1 - p).mean(axis=0)}
    given = {"samples": samples, "annotations": annotations, "mean": mean, "exact": exact, "truth": truth, "cut": cut}
    return Inputs(**{**given, **maps, **changes})


def random_image(seed=0):
    generator = np.random.default_rng(seed)
    samples, annotations = generator.random((16, H, W)) < 0.4, generator.random((4, H, W)) < 0.4
    return inputs(samples, annotations, truth=generator.random((H, W)))


def test_order_of_the_tables():
    assert list(METRICS) == [
        *("ged_1", "ged_4", "ged_8", "ged_16", "ged_64", "ged_u", "ged_study_16", "diversity", "ged_levels"),
        *(
            "coupling_gain",
            "hm_iou",
            "d_max",
            "d_max_sample",
            "ncc",
            "s_ncc",
            "soft_dice_loss",
            "dice",
            "iou",
            "dice_cut",
            "iou_cut",
        ),
        *("cross_entropy", "brier", "brier_floor", "ece"),
        *("error_auroc", "error_auroc_band", "border_auroc_band", "centre_auroc_band"),
        *("truth_rmse", "annotator_distance"),
    ]
    assert all(name == metric.name for name, metric in METRICS.items())


def test_energy_distances_are_their_estimators():
    image = random_image()
    for name, expected in energy_distances(image.samples, image.annotations, exact=False).items():
        assert METRICS[name](image) == expected


def test_level_sets_are_those_of_the_mean():
    image = random_image()
    levels = np.stack([image.mean > (i + 0.5) / 16 for i in range(16)])
    expected = energy_distances(levels, image.annotations, exact=True)
    assert METRICS["ged_levels"](image) == pytest.approx(expected["ged_16"])
    assert expected["ged_16"] == expected["ged_u"] != energy_distances(levels, image.annotations, exact=False)["ged_u"]


def test_level_sets_have_no_probabilities_of_their_own():
    levels = random_image().levels
    assert levels.exact and np.array_equal(levels.samples, [levels.mean > (i + 0.5) / 16 for i in range(16)])
    assert (
        levels.expected_entropy is levels.mutual_information is levels.log_foreground is levels.log_background is None
    )
    assert METRICS["coupling_gain"](levels) == 0


def test_the_cut_is_of_the_mean():
    image = random_image()
    at_cut = replace(image, cut=0.3)
    for name, measure in (("dice", dice), ("iou", iou)):
        assert METRICS[f"{name}_cut"](at_cut) == measure(image.mean > 0.3, image.annotations) != METRICS[name](image)
        assert METRICS[name](at_cut) == METRICS[name](image) == METRICS[f"{name}_cut"](image)


def test_errors_near_borders_are_those_of_the_band():
    generator = np.random.default_rng(0)
    samples, annotations = (np.zeros((n, 20, 20), bool) for n in (16, 4))
    samples[:, 5:9, 5:9], annotations[:, 6:10, 6:10] = True, True
    image = inputs(samples, annotations, uncertainty=generator.random((20, 20)))
    near, where = band(image.prediction, annotations), np.indices((20, 20)).reshape(2, -1).T
    assert 0 < near.sum() < 100
    for name, detector in (
        ("error_auroc_band", image.uncertainty),
        ("border_auroc_band", [-definitions.distance_to_other_class(image.prediction, y, x) for y, x in where]),
        ("centre_auroc_band", [-np.hypot(y - 9.5, x - 9.5) for y, x in where]),
    ):
        of_band = np.reshape(detector, (20, 20))[near], image.prediction[near], annotations[:, near]
        assert METRICS[name](image) == pytest.approx(definitions.auroc(*of_band)), name


def test_distances_are_computed_once_per_image(monkeypatch):
    calls, original = [], ged.distances
    monkeypatch.setattr(ged, "distances", lambda *args, **options: calls.append(1) or original(*args, **options))
    image = random_image()
    for metric in METRICS.values():
        metric(image)
    assert len(calls) == 2  # of the samples and of the level sets


@settings(max_examples=100, deadline=None)
@given(
    arrays(bool, st.tuples(st.sampled_from([1, 2, 4, 16, 64]), st.just(H), st.just(W))),
    arrays(bool, st.tuples(st.integers(1, 5), st.just(H), st.just(W))),
    arrays(np.float64, (H, W), elements=st.floats(0, 1)),
    st.booleans(),
)
def test_values_are_in_the_range_and_defined_where_the_record_says(samples, annotations, truth, exact):
    image = inputs(samples, annotations, truth=truth, exact=exact)
    for metric in METRICS.values():
        value = metric(image)
        assert metric.undefined or not isnan(value), metric.name
        if not isnan(value):
            assert metric.low - 1e-9 <= value <= metric.high + 1e-9, metric.name


def test_directions():
    """A prediction that is right and doubts the one disputed pixel, against one that is certain of what is wrong."""
    annotations = np.zeros((4, H, W), bool)
    annotations[:, :2, :2] = True
    disputed, doubted = (2, 3), (0, 3)
    annotations[:2, *disputed] = True
    good = np.repeat(annotations[:1], 16, axis=0)
    good[::2, *disputed] = False
    bad = ~good
    # The worse one is right here alone, and doubts it.
    bad[:, *doubted] = False
    better, worse = (inputs(samples, annotations, truth=annotations.mean(axis=0)) for samples in (good, bad))
    worse = replace(worse, uncertainty=(np.arange(H * W).reshape(H, W) == doubted[1]).astype(float))
    for name, metric in METRICS.items():
        # It judges samples by their own mean, so a wrong model has no worse one.
        if metric.higher_is_better is not None and name != "coupling_gain":
            gain = metric(better) - metric(worse)
            assert gain * (1 if metric.higher_is_better else -1) > 0.1, metric.name


JUDGE_PROBABILITIES = {
    *("ncc", "s_ncc", "cross_entropy", "brier", "ece", "error_auroc", "error_auroc_band", "truth_rmse"),
}


def test_undefined_without_what_a_metric_needs():
    image = random_image()
    without_truth, without_probability = replace(image, truth=None), replace(image, uncertainty=None)
    without_logs = replace(image, log_foreground=None, log_background=None)
    for name, metric in METRICS.items():
        assert isnan(metric(without_truth)) == (name == "truth_rmse")
        assert isnan(metric(without_probability)) == (name in JUDGE_PROBABILITIES), name
        assert isnan(metric(without_logs)) == (name == "s_ncc")
        assert metric.judges_probability == (name in JUDGE_PROBABILITIES)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "Dice"}, "needs a name of lower-case letters"),
        ({"name": ""}, "needs a name of lower-case letters"),
        ({"meaning": " "}, "dice needs a phrase without a full stop as `meaning`"),
        ({"meaning": "a sentence."}, "dice needs a phrase without a full stop as `meaning`"),
        ({"label": ""}, "dice needs a phrase without a full stop as `label`"),
        ({"undefined": ""}, "dice needs a phrase without a full stop as `undefined`"),
        ({"needs": ()}, f"dice needs some of {', '.join(INPUTS)}"),
        ({"needs": ("prediction", "labels")}, f"dice needs some of {', '.join(INPUTS)}"),
        ({"needs": ("prediction",)}, "the function of the metric dice does not take"),
        ({"low": 1, "high": 1}, "dice has an empty range"),
        ({"meaning": None}, "dice needs a phrase without a full stop as `meaning`"),
        ({"label": 1}, "dice needs a phrase without a full stop as `label`"),
        ({"higher_is_better": "yes"}, "dice needs True, False or None as `higher_is_better`"),
        ({"scale": "square"}, "dice needs one of identity, log, logit as `scale`"),
    ],
)
def test_inconsistent_records_are_refused(change, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        replace(METRICS["dice"], **change)


@pytest.mark.parametrize("missing", NEEDED)
def test_incomplete_records_are_refused(missing):
    values = {name: getattr(METRICS["dice"], name) for name in NEEDED if name != missing}
    with pytest.raises(TypeError, match=missing):
        Metric(**values)


def test_names_are_unique_and_selections_are_of_known_names():
    with pytest.raises(ValueError, match="two metrics have the same name, dice"):
        _registered(METRICS["dice"], METRICS["dice"])
    with pytest.raises(ValueError, match="no metric is called f1"):
        _selected("dice", "f1")


FUNCTION = """
def volume_error(mean, annotations):
    return abs(float(mean.sum()) - float(annotations.sum(axis=(1, 2)).mean()))
"""
RECORD = """
    Metric(
        name="volume_error",
        function=volume.volume_error,
        needs=("mean", "annotations"),
        meaning="difference of the expected areas in pixels; lower is better",
        label="volume error",
        higher_is_better=False,
        low=0,
        high=None,
        undefined=None,
    ),
)
\"\"\"By name, in the order of columns and tables.\"\"\"
"""
STAGES = """
import json, sys
from pathlib import Path
import pytest
from helpers import definitions
from helpers.study import random_draws, run, write_dataset, write_samples
import pandas as pd
from segunc.data.result_table import read_table
from segunc.evaluation.summary_markdown import summary_markdown
from segunc.evaluation.tables import MISSING
from segunc.stages import evaluate, tabulate

folder, monkeypatch = Path(sys.argv[1]), pytest.MonkeyPatch()
data, samples = folder / "d.h5", folder / "s.h5"
names = ("images.csv", "levels.csv", "pixels.csv.gz", "calibration.csv.gz")
files = {name.split(".")[0]: folder / name for name in names}
write_samples(samples, [record.image_id for record in write_dataset(data)], random_draws(6))
named = {"dataset": "d", "model": "m", "seed": 0}
run(evaluate, monkeypatch, data=data, samples=samples, scores=list(files.values()), **named)
missing = [{"step": "baselines", "dataset": "d", "model": "", "seed": 0, "why": "not run"}]
spec = {"statistics": {"confidence": 0.9}, "datasets": ["d"], "models": ["m"], "unet": ""}
tables = [folder / "summary.csv", folder / "exclusions.csv"]
run(tabulate, monkeypatch, spec=json.dumps({**spec, "missing": missing}), data=data, **files, tables=tables)
table = read_table(folder / "summary.csv")
(folder / "summary.md").write_text(summary_markdown(table, pd.DataFrame(columns=MISSING), {}, {}, {}))
"""


def test_a_new_metric_is_a_function_and_a_record(tmp_path):
    """In a copy of the sources: its scores, its rows in the summary, and its column and description in Markdown."""
    package = Path(segunc.__file__).parent
    source = tmp_path / "src/segunc"
    shutil.copytree(package, source, ignore=shutil.ignore_patterns("__pycache__"))
    (source / "metrics/volume.py").write_text(FUNCTION)
    registry = source / "metrics/registry.py"
    text = registry.read_text().replace("    uncertainty,\n)", "    uncertainty,\n    volume,\n)")
    edited = re.sub(r'^\)\n"""By name, in the order.*\n', RECORD[1:], text, flags=re.MULTILINE)
    assert "volume,\n" in text and "volume_error" in edited
    registry.write_text(edited)
    path = os.pathsep.join([str(source.parent), str(Path(__file__).parents[1])])
    command = [sys.executable, "-c", STAGES, str(tmp_path)]
    subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": path})

    with (tmp_path / "images.csv").open(newline="") as file:
        scores = [float(row["volume_error"]) for row in csv.DictReader(file)]
    assert len(scores) == 6 and max(scores) > 0
    with (tmp_path / "summary.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["metric"] == "volume_error"]
    assert len(rows) == 6 and rows[0]["model"] == "m"
    assert float(rows[0]["mean"]) == pytest.approx(np.mean(scores))
    markdown = (tmp_path / "summary.md").read_text()
    assert "(`volume_error`): difference of the expected areas in pixels; lower is better.\n" in markdown
    assert any(line.startswith("| model | seeds |") and "| volume error ↓ |" in line for line in markdown.splitlines())
