import csv
import os
import re
import shutil
import subprocess
import sys
from dataclasses import fields, replace
from math import isnan
from pathlib import Path

import numpy as np
import pytest
from helpers.study import energy_distances
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import segunc
from segunc.metrics import ged
from segunc.metrics.registry import INPUTS, METRICS, Inputs, Metric, _registered, _selected
from segunc.metrics.uncertainty import entropy

H, W = 3, 4
NEEDED = [field.name for field in fields(Metric)]


def inputs(samples, annotations, *, exact=False, truth=None, **changes):
    mean = samples.mean(axis=0)
    given = {"samples": samples, "exact": exact, "mean": mean, "uncertainty": entropy(mean), "truth": truth}
    return Inputs(**{**given, "annotations": annotations, **changes})


def random_image(seed=0):
    generator = np.random.default_rng(seed)
    samples, annotations = generator.random((16, H, W)) < 0.4, generator.random((4, H, W)) < 0.4
    return inputs(samples, annotations, truth=generator.random((H, W)))


def test_order_of_the_tables():
    assert list(METRICS) == [
        *("ged_1", "ged_4", "ged_8", "ged_16", "ged_u_16", "ged_study_16", "diversity"),
        *("soft_dice_loss", "dice", "iou", "cross_entropy", "error_auroc", "truth_rmse"),
    ]
    assert all(name == metric.name for name, metric in METRICS.items())


def test_energy_distances_are_their_estimators():
    image = random_image()
    for name, expected in energy_distances(image.samples, image.annotations, exact=False).items():
        assert METRICS[name](image) == expected


def test_distances_are_computed_once_per_image(monkeypatch):
    calls, original = [], ged.distances
    monkeypatch.setattr(ged, "distances", lambda *args, **options: calls.append(1) or original(*args, **options))
    image = random_image()
    for metric in METRICS.values():
        metric(image)
    assert len(calls) == 1


@settings(max_examples=60, deadline=None)
@given(
    arrays(bool, (16, H, W)),
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
    """A perfect prediction against its inverse, which is certain of the wrong outcome."""
    truth = np.zeros((H, W))
    truth[:2, :2] = 1
    annotations = np.repeat(truth[None] > 0, 3, axis=0)
    # Both have one uncertain pixel, which is the only wrong one of the first and the only right one of the second.
    uncertainty = np.zeros((H, W))
    uncertainty[0, 0] = 1
    good = np.repeat(annotations[:1], 16, axis=0)
    good[:9, 0, 0] = False
    better, worse = (inputs(s, annotations, truth=truth, uncertainty=uncertainty) for s in (good, ~good))
    for metric in METRICS.values():
        if metric.higher_is_better is not None:
            gain = metric(better) - metric(worse)
            assert gain * (1 if metric.higher_is_better else -1) > 0.1, metric.name


def test_undefined_without_what_a_metric_needs():
    image = random_image()
    without_truth, without_probability = replace(image, truth=None), replace(image, uncertainty=None)
    for name, metric in METRICS.items():
        assert isnan(metric(without_truth)) == (name == "truth_rmse")
        assert isnan(metric(without_probability)) == (name in ("cross_entropy", "error_auroc", "truth_rmse"))
        assert metric.judges_probability == (name in ("cross_entropy", "error_auroc", "truth_rmse"))
        assert metric.judges_samples == (name.startswith("ged_") or name == "diversity")


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
    with pytest.raises(ValueError, match="two metrics have the same name"):
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
from helpers.study import random_draws, run, write_dataset, write_samples
from segunc.stages import evaluate, tabulate

folder, monkeypatch = Path(sys.argv[1]), pytest.MonkeyPatch()
data, samples, images, pixels = (folder / name for name in ("d.h5", "s.h5", "images.csv", "pixels.csv.gz"))
write_samples(samples, [record.image_id for record in write_dataset(data)], random_draws(6))
named = {"dataset": "d", "model": "m", "seed": 0}
run(evaluate, monkeypatch, data=data, samples=samples, scores=[images, pixels], **named)
statistics = {"resamples": 100, "confidence": 0.9, "seed": 0}
missing = [{"step": "baselines", "dataset": "d", "model": "", "seed": "", "why": "not run"}]
spec = {"statistics": statistics, "datasets": ["d"], "models": ["m"], "seeds": [0], "threshold": False}
tables = [folder / "summary.csv", folder / "exclusions.csv"]
written = {"markdown": folder / "summary.md", "tables": tables}
files = {"data": data, "images": images, "pixels": pixels}
run(tabulate, monkeypatch, spec=json.dumps({**spec, "missing": missing}), **files, **written)
"""


def test_a_new_metric_is_a_function_and_a_record(tmp_path):
    """In a copy of the sources: its scores, its rows in the summary, and its column and description in Markdown."""
    package = Path(segunc.__file__).parent
    source = tmp_path / "src/segunc"
    shutil.copytree(package, source, ignore=shutil.ignore_patterns("__pycache__"))
    (source / "metrics/volume.py").write_text(FUNCTION)
    registry = source / "metrics/registry.py"
    text = registry.read_text().replace("probability, uncertainty\n", "probability, uncertainty, volume\n")
    edited = re.sub(r'^\)\n"""By name, in the order.*\n', RECORD[1:], text, flags=re.MULTILINE)
    assert "volume\n" in text and "volume_error" in edited
    registry.write_text(edited)
    path = os.pathsep.join([str(source.parent), str(Path(__file__).parents[1])])
    command = [sys.executable, "-c", STAGES, str(tmp_path)]
    subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": path})

    with (tmp_path / "images.csv").open(newline="") as file:
        scores = [float(row["volume_error"]) for row in csv.DictReader(file)]
    assert len(scores) == 6 and max(scores) > 0
    with (tmp_path / "summary.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["metric"] == "volume_error"]
    assert len(rows) == 5 and rows[0]["model"] == "m"
    assert float(rows[0]["mean"]) == pytest.approx(np.mean(scores))
    markdown = (tmp_path / "summary.md").read_text()
    assert "- `volume_error`: difference of the expected areas in pixels; lower is better.\n" in markdown
    header = next(line for line in markdown.splitlines() if "| volume_error |" in line)
    assert "| dice |" in header and "| ged_16 |" not in header
