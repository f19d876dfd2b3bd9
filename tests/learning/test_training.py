"""Training and sampling on a handful of phantoms: same seed, same numbers; best weights; what the files hold."""

import json
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from helpers.training import CPU, SPEC, images, spec

from segunc.learning import sampling, training
from segunc.metrics.uncertainty import entropy
from segunc.networks.shape import DataStatistics
from segunc.runtime.errors import UserError
from segunc.stages import sample, train


def run(settings: dict[str, Any]) -> tuple[dict[str, Any], list[list[float]]]:
    torch.set_num_threads(1)
    return training.train(settings, images(), images(4, seed=1), CPU, "test")


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("method", ["unet", "ensemble", "mc_dropout", "prob_unet"])
def test_same_seed_same_weights_same_samples(method: str, precision: str) -> None:
    options = {"members": 4} if method == "ensemble" else {}
    settings = {**spec(precision=precision), "method": method, "options": options}
    (first, history), (second, again) = run(settings), run(settings)
    assert all(torch.equal(value, second["state"][name]) for name, value in first["state"].items())
    assert [row[:-1] for row in history] == [row[:-1] for row in again]
    samples = [sampling.sample(first, images(3).images, 16, 0, CPU, "test")[0] for _ in range(2)]
    assert all(np.array_equal(samples[0][name], samples[1][name]) for name in samples[0])
    other, _ = run({**settings, "seed": 1})
    assert any(not torch.equal(value, other["state"][name]) for name, value in first["state"].items())


def test_weights_kept_are_those_of_the_best_validation() -> None:
    settings = spec(learning_rate=3.0, gradient_clip=None, schedule="constant", warmup_steps=0, steps=40)
    weights, history = run(settings)
    model = training.build(settings, DataStatistics(**weights["data"]))
    model.load_state_dict(weights["state"])
    loss = training.validation_loss(model, images(4, seed=1), "float32", CPU)
    assert loss == pytest.approx(min(row[3] for row in history), rel=1e-5)
    assert loss < history[-1][3]


def test_patience_ends_training_early() -> None:
    settings = spec(learning_rate=3.0, gradient_clip=None, schedule="constant", steps=200, patience=3)
    _, history = run(settings)
    best = int(np.argmin([row[3] for row in history]))
    assert history[-1][0] < 200
    assert len(history) == best + 1 + 3


def test_epochs_are_passes_through_the_training_images() -> None:
    _, history = run(spec(steps=None, epochs=3, validate_every=None))
    assert [row[0] for row in history] == [3, 6, 9]
    assert [row[1] for row in history] == [1, 2, 3]


def test_a_budget_below_the_validation_interval_is_validated_once() -> None:
    _, history = run(spec(steps=3, validate_every=5))
    assert [row[0] for row in history] == [3]


def test_history_has_its_columns() -> None:
    _, history = run(spec(steps=5))
    assert [len(row) for row in history] == [len(training.HISTORY)]


def test_batches_show_every_image_equally_often() -> None:
    rng, rest, seen = np.random.default_rng(0), np.empty(0, np.int64), []
    for _ in range(5):
        indices, rest = training.next_batch(rest, 10, 4, rng)
        seen += indices.tolist()
    assert len(seen) == 20
    assert np.bincount(seen, minlength=10).tolist() == [2] * 10


def test_learning_rate_warms_up_and_falls_to_zero() -> None:
    settings = spec()["training"]
    rates = [training.learning_rate(step, 20, settings) for step in range(21)]
    assert rates[:4] == pytest.approx([0.0025, 0.005, 0.0075, 0.01])
    assert rates[4:] == sorted(rates[4:], reverse=True)
    assert rates[20] == pytest.approx(0)
    assert training.learning_rate(19, 20, {**settings, "schedule": "constant"}) == 0.01


def test_validation_loss_averages_all_annotators() -> None:
    """The study's validation loss was the last annotator's alone (defect B9)."""
    weights, _ = run(spec())
    model = training.build(spec(), DataStatistics(**weights["data"]))
    model.load_state_dict(weights["state"])
    both = images(4, seed=1)
    alone = [both._replace(masks=both.masks[:, [a]], annotated=both.annotated[:, [a]]) for a in (0, 1)]
    losses = [training.validation_loss(model, part, "float32", CPU) for part in (both, *alone)]
    assert losses[0] == pytest.approx((losses[1] + losses[2]) / 2, rel=1e-5)
    assert losses[1] != pytest.approx(losses[2], rel=1e-3)


def test_annotators_are_shuffled_per_group_and_never_lost() -> None:
    many = images(200)
    shuffled = training.shuffle_annotators(many, np.random.default_rng(0))
    swapped = (shuffled.masks[:, 0] != many.masks[:, 0]).any(axis=(1, 2))
    assert np.array_equal(
        np.sort(shuffled.masks.sum(axis=(2, 3)), axis=1), np.sort(many.masks.sum(axis=(2, 3)), axis=1)
    )
    assert 0.3 < swapped.mean() < 0.7
    assert all(len(set(swapped[many.group_id == group])) == 1 for group in np.unique(many.group_id))


def test_divergence_and_empty_masks_are_reported_in_one_sentence() -> None:
    for clip in (None, 1.0):
        with pytest.raises(UserError, match=r"after \d+ steps; lower learning_rate, which is 1e\+30\.$"):
            run(spec(learning_rate=1e30, gradient_clip=clip, warmup_steps=0))
    with pytest.raises(UserError, match="nan in validation after 1 steps"):
        run(spec(learning_rate=1e30, gradient_clip=None, warmup_steps=0, steps=1))
    nothing = images()._replace(masks=np.zeros((10, 2, 16, 16), dtype=np.uint8))
    with pytest.raises(UserError, match="nothing to learn"):
        training.train(spec(), nothing, images(4), CPU, "test")


def test_summary_of_samples() -> None:
    samples = torch.rand(16, 3, 5, 7)
    arrays = sampling.summarise_samples(samples)
    masks = np.unpackbits(arrays["samples"], axis=-1, count=35).reshape(3, 16, 5, 7)
    assert np.array_equal(masks, (samples.numpy() > 0.5).swapaxes(0, 1))
    assert arrays["mean_probability"] == pytest.approx(samples.mean(dim=0).numpy())
    assert arrays["predictive_entropy"] == pytest.approx(entropy(samples.mean(dim=0).numpy()), abs=1e-3)
    assert arrays["expected_entropy"] == pytest.approx(entropy(samples.numpy()).mean(axis=0), abs=1e-3)
    total = arrays["expected_entropy"].astype(float) + arrays["mutual_information"]
    assert total == pytest.approx(arrays["predictive_entropy"].astype(float), abs=2e-3)
    certain = sampling.summarise_samples(torch.ones(16, 1, 2, 2))
    assert all(not certain[name].any() for name in ("predictive_entropy", "expected_entropy", "mutual_information"))


def test_stages_write_and_read_their_files(tmp_path, monkeypatch, capsys) -> None:
    """`train` and `sample` through their command lines, on a store that `write_store` wrote."""
    from segunc.data.store import ImageRecord, write_store

    made = images(12)
    splits = ["train"] * 6 + ["val"] * 2 + ["test"] * 4
    records = (ImageRecord(made.images[i], list(made.masks[i]), f"i{i}", f"g{i}", f"p{i}") for i in range(12))
    write_store(tmp_path / "data.h5", records, lambda patients, published: splits, {})

    where = {"weights": tmp_path / "cell/weights.pt", "history": tmp_path / "cell/history.csv"}
    common = ["--data", str(tmp_path / "data.h5"), "--name", "test", "--device", "cpu", "--threads", "1"]
    outputs = [word for name, path in where.items() for word in (f"--{name}", str(path))]
    monkeypatch.setattr("sys.argv", ["train", *common, "--spec", json.dumps(SPEC), *outputs])
    train.main()
    assert where["history"].read_text().splitlines()[0] == "step,epoch,train_loss,val_loss,learning_rate,seconds"
    assert torch.load(where["weights"], weights_only=True)["spec"] == json.dumps(SPEC, sort_keys=True)

    sample_spec = json.dumps({"draws": 16, "seed": 0})
    arguments = ["--spec", sample_spec, "--weights", str(where["weights"]), "--samples", str(tmp_path / "samples.h5")]
    monkeypatch.setattr("sys.argv", ["sample", *common, *arguments])
    sample.main()
    with h5py.File(tmp_path / "samples.h5") as file:
        assert file["samples"].shape == (4, 16, 32)
        assert file["mean_probability"].shape == (4, 16, 16)
        assert [i.decode() for i in file["image_id"]] == ["i8", "i9", "i10", "i11"]
        assert file.attrs["draws"] == "exact"
    names = sorted(path.name for path in tmp_path.rglob("*"))
    assert names == ["cell", "data.h5", "history.csv", "samples.h5", "weights.pt"]

    if not torch.cuda.is_available():
        monkeypatch.setattr("sys.argv", ["sample", *common[:-3], "cuda", "--threads", "1", *arguments])
        with pytest.raises(SystemExit, match=r"segunc: config key device is 'cuda', but torch finds no GPU"):
            sample.main()
