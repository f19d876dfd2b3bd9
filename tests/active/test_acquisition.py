"""Which images are labelled: the initial set, later rounds, and what they must not depend on."""

import csv
import json
import subprocess
import sys
import types

import numpy as np
import pytest
from helpers.study import blob, run, write_dataset

from segunc.active.acquisition import next_picks
from segunc.data.store import Images, read_split
from segunc.evaluation.annotation_stats import disagreement, disputed_pixels, foreground
from segunc.runtime.errors import UserError
from segunc.stages import active_acquire, active_start

TRAIN = 12


def rows(path):
    with path.open(newline="", encoding="utf-8") as file:
        return [(row["image_id"], int(row["round"])) for row in csv.DictReader(file)]


def acquire_spec(round_, method="random", seed=0, add=3, **options):
    return json.dumps({"method": method, "options": options, "add": add, "seed": seed, "round": round_})


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A dataset of 12 training images, and the stages that choose an initial set and a round."""

    class Study:
        data = tmp_path / "lung.h5"

        def start(self, start=4, seed=0, **more):
            output = tmp_path / f"start{start}-{seed}.csv"
            spec = json.dumps({"start": start, "seed": seed})
            run(active_start, monkeypatch, data=self.data, spec=spec, labelled=output, **more)
            return output

        def round(self, before, round_, **settings):
            output = before.with_name(f"{before.stem}-{round_}.csv")
            spec = acquire_spec(round_, **settings)
            run(active_acquire, monkeypatch, data=self.data, before=before, spec=spec, labelled=output)
            return output

    write_dataset(Study.data, images=TRAIN)
    return Study()


def test_initial_set_depends_on_data_and_seed(study):
    first = rows(study.start())
    assert first == rows(study.start())
    assert first != rows(study.start(seed=1))
    assert [round_ for _, round_ in first] == [0] * 4
    assert len(dict(first)) == 4
    assert set(dict(first)) <= set(read_split(study.data, "train", 0).image_id)
    assert rows(study.start(6))[:4] == first


@pytest.mark.parametrize("method", ["random", "patient_random", "foreground_random", "disagreement", "disputed"])
def test_rounds_add_new_training_images_until_none_is_left(study, method):
    """The study samples with replacement, labelled images included (defect B25, B26)."""
    before = study.start(3)
    for round_ in (1, 2, 3):
        after = study.round(before, round_, method=method)
        assert rows(after)[: len(rows(before))] == rows(before)
        assert [r for _, r in rows(after)] == [r for _, r in rows(before)] + [round_] * 3
        before = after
    assert sorted(dict(rows(before))) == sorted(read_split(study.data, "train", 0).image_id)


def test_picks_depend_on_seed_round_and_strategy(study):
    start = study.start()
    picks = {
        (round_, seed, method): [i for i, r in rows(study.round(start, round_, seed=seed, method=method)) if r]
        for round_ in (1, 2)
        for seed in (0, 1)
        for method in ("random", "patient_random")
    }
    assert picks[1, 0, "random"] == [i for i, r in rows(study.round(start, 1)) if r]
    assert len(set(map(tuple, picks.values()))) == len(picks)


@pytest.mark.parametrize(("method", "measure"), [("disagreement", disagreement), ("disputed", disputed_pixels)])
def test_oracles_read_the_annotations(study, method, measure):
    """In this dataset annotators disagree more on images that some of them marked than on those that all marked."""
    start = study.start(1)
    train = read_split(study.data, "train", 0)
    free = train.image_id != rows(start)[0][0]
    disputed = train.image_id[free][np.argsort(-measure(train)[free])]
    assert [i for i, r in rows(study.round(start, 1, method=method)) if r] == disputed[:3].tolist()


def test_too_small_a_pool_is_reported_before_anything_is_picked(study):
    with pytest.raises(
        SystemExit, match=r"active\.start, active\.add and active\.rounds add up to 13 .* has 12 in its"
    ):
        study.start(needed=13)
    with pytest.raises(SystemExit, match="add up to 20 labelled images"):
        study.start(20)
    assert len(rows(study.start(needed=12))) == 4
    with pytest.raises(
        SystemExit, match=r"config key active\.add asks for 9 images in round 1, but of the 12 .* 8 are left"
    ):
        study.round(study.start(), 1, add=9)
    assert not list(study.data.parent.glob("*-1.csv"))


def test_labelled_images_of_another_dataset_are_refused(study):
    start = study.start()
    start.write_text("image_id,round\nmars-1,0\n")
    with pytest.raises(SystemExit, match="names image mars-1, which the dataset's training split does not have"):
        study.round(start, 1)


def test_no_torch_without_a_model(study):
    """So that a cluster's many small jobs start fast."""
    command = (
        "import sys; from segunc.stages import active_start, active_acquire; active_acquire.main(); "
        "assert 'torch' not in sys.modules"
    )
    arguments = ["--data", str(study.data), "--before", str(study.start()), "--spec", acquire_spec(1)]
    output = ["--labelled", str(study.data.with_suffix(".csv"))]
    subprocess.run([sys.executable, "-c", command, *arguments, *output], check=True)


def test_statistics_of_annotated_images():
    small, large, nothing = blob(1), blob(2), blob(0)
    images = Images(
        images=np.zeros((3, 1, *small.shape), np.uint8),
        # All agree; one of three existing marks nothing, where 4 of 12 pixels overlap otherwise; a single annotator.
        masks=np.stack([[small] * 3, [small, large, nothing], [large, nothing, nothing]]),
        annotated=np.array([[1, 1, 1], [1, 1, 1], [1, 0, 0]], bool),
        image_id=np.array(["a", "b", "c"]),
        group_id=np.array(["g", "g", "h"]),
        patient_id=np.array(["p", "p", "p"]),
        annotator_probability=None,
    )
    pixels = small.size
    assert foreground(images) == pytest.approx([4 / pixels, (4 + 12) / 3 / pixels, 12 / pixels])
    assert disagreement(images) == pytest.approx([0, (2 / 3 + 1 + 1) / 3, np.nan], nan_ok=True)
    # The large one has 12 pixels, of which the small one has 4.
    assert disputed_pixels(images) == pytest.approx([0, 12, np.nan], nan_ok=True)


def images_of(n):
    names = np.array([f"i{k}" for k in range(n)])
    blank = np.zeros((n, 1, 4, 4), np.uint8)
    return Images(blank, blank, np.ones((n, 1), bool), names, names, names, None)


def picks_of(monkeypatch, pick, k=3):
    """The next picks of a strategy with the function `pick`: of 8 images, the first two are labelled."""
    strategy = types.ModuleType("segunc.strategies.mine")
    strategy.NEEDS, strategy.pick, strategy.__file__ = "nothing", pick, "strategies/mine.py"
    monkeypatch.setitem(sys.modules, strategy.__name__, strategy)
    spec = {"method": "mine", "options": {}, "add": k, "seed": 0, "round": 1}
    return next_picks(spec, images_of(8), np.array([0, 1]), {}).tolist()


@pytest.mark.parametrize(
    ("pick", "sentence"),
    [
        (lambda pool, k, rng: np.arange(k + 1), "returns positions of the shape (4,), where 3 are asked for; return"),
        (lambda pool, k, rng: [[0, 1, 2]], "returns positions of the shape (1, 3), where 3 are asked for; return the"),
        (lambda pool, k, rng: [0, 2, 2], "returns the position 2 more than once; pick different images"),
        (lambda pool, k, rng: [3, 4, 6], "returns the position 6, but the 6 images of the pool have 0 to 5; pick"),
        (lambda pool, k, rng: [-1, 0, 1], "returns the position -1, but the 6 images of the pool have 0 to 5; pick"),
        (lambda pool, k, rng: rng.random(k), "returns values of the type float64, not integers; return positions in"),
        (lambda pool, k, rng: np.arange(6) < k, "returns values of the type bool, not integers; return positions in"),
        (lambda pool, k, rng: pool.patient_id[:k], "returns values of the type <U2, not integers; return positions"),
        (lambda pool, k, rng: None, "returns values of the type object, not integers; return positions in the pool"),
        (
            lambda pool, k, rng: np.random.default_rng().permutation(6)[:k],
            "returns other positions for an equal generator; take all random numbers from rng",
        ),
    ],
)
def test_picks_that_break_the_contract_are_refused_in_one_sentence(monkeypatch, pick, sentence):
    with pytest.raises(UserError) as error:
        # Of a single draw, the last one may happen to be equal.
        for _ in range(9):
            picks_of(monkeypatch, pick)
    said = str(error.value)
    assert said.startswith("strategies/mine.py breaks the contract of strategies (segunc.strategies): pick() returns ")
    assert sentence in said and said.endswith(".")


def test_picks_may_be_any_integers(monkeypatch):
    for pick in (lambda pool, k, rng: [5, 0, 1], lambda pool, k, rng: np.array([5, 0, 1], np.uint8)):
        assert picks_of(monkeypatch, pick) == [7, 2, 3]
    assert len(set(picks_of(monkeypatch, lambda pool, k, rng: rng.permutation(6)[:k]))) == 3
