"""Training and sampling on a handful of phantoms: same seed, same numbers; kept weights; what the files hold."""

import json
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from helpers.training import CPU, SPEC, images, spec

from segunc.learning import sampling, training, validation
from segunc.metrics.uncertainty import entropy
from segunc.networks.shape import DataStatistics
from segunc.runtime.errors import UserError
from segunc.stages import sample, train

UNSTABLE = {"learning_rate": 3.0, "gradient_clip": None, "schedule": "constant", "warmup_steps": 0}
"""Validations that rise and fall."""


def run(settings: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, float]]]:
    torch.set_num_threads(1)
    return training.train(settings, images(), images(4, seed=1), CPU, "test")


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("method", ["unet", "ensemble", "mc_dropout", "prob_unet"])
def test_same_seed_same_weights_same_samples(method: str, precision: str) -> None:
    options = {"members": 4} if method == "ensemble" else {}
    settings = {**spec(precision=precision), "method": method, "options": options}
    (first, history), (second, again) = run(settings), run(settings)
    assert all(torch.equal(value, second["state"][name]) for name, value in first["state"].items())
    assert [{**row, "seconds": 0} for row in history] == [{**row, "seconds": 0} for row in again]
    samples = [list(sampling.sample(restored(first), settings, images(3).images, 16, 0, CPU, "test")) for _ in range(2)]
    assert all(torch.equal(*parts) for parts in zip(*samples, strict=True))
    other, _ = run({**settings, "seed": 1})
    assert any(not torch.equal(value, other["state"][name]) for name, value in first["state"].items())


def restored(weights: dict[str, Any]) -> Any:
    model = training.build(json.loads(weights["spec"]), DataStatistics(**weights["data"]))
    model.load_state_dict(weights["state"])
    return model


def criteria(history: list[dict[str, float]]) -> list[float]:
    return [row["val_cross_entropy"] + row["val_ged"] for row in history]


def test_the_last_weights_are_kept() -> None:
    weights, history = run(spec(**UNSTABLE, steps=40))
    found = validation.validate(restored(weights), images(4, seed=1), "float32", CPU)
    assert history[-1]["step"] == 40
    assert found.cross_entropy == pytest.approx(history[-1]["val_cross_entropy"], rel=1e-5)
    assert found.ged == pytest.approx(history[-1]["val_ged"], abs=1e-3)
    assert found.criterion > min(criteria(history)) + 0.1
    # Validation changes nothing that is trained.
    rarely, _ = run(spec(**UNSTABLE, steps=40, validate_every=40))
    assert all(torch.equal(value, rarely["state"][name]) for name, value in weights["state"].items())


def test_with_patience_those_of_the_best_validation_are_kept() -> None:
    weights, history = run(spec(**UNSTABLE, steps=40, patience=100))
    best = validation.validate(restored(weights), images(4, seed=1), "float32", CPU).criterion
    assert best == pytest.approx(min(criteria(history)[2:]), rel=1e-5)
    assert best < criteria(history)[-1]


@pytest.mark.parametrize("method", ["unet", "prob_unet"])
def test_patience_ends_training_early(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first quarter of the budget is never selected and not counted, however well it validates."""
    given = iter([0.1, 0.2, 0.9, 0.8, 0.7, 0.75, 0.9, 0.8, 0.1, 0.1])
    monkeypatch.setattr(training, "validate", lambda *_: validation.Validation(next(given), -0.5, []))
    settings = {**spec(steps=40, patience=3, validate_every=4), "method": method}
    seen: list[dict[str, torch.Tensor]] = []
    original = training._select

    def select(run: Any, criterion: float) -> None:
        seen.append({name: value.clone() for name, value in run.model.state_dict().items()})
        original(run, criterion)

    monkeypatch.setattr(training, "_select", select)
    weights, history = run(settings)
    # Validations at steps 4, 8, ...; the quarter ends with step 10, and the best one is at step 20, the third of these.
    assert history[-1]["step"] == 32
    assert all(torch.equal(value, seen[2][name]) for name, value in weights["state"].items())


def test_epochs_are_passes_through_the_training_images() -> None:
    _, history = run(spec(steps=None, epochs=3, validate_every=None))
    assert [row["step"] for row in history] == [3, 6, 9]
    assert [row["epoch"] for row in history] == [1, 2, 3]


def test_a_budget_below_the_validation_interval_is_validated_once() -> None:
    _, history = run(spec(steps=3, validate_every=5))
    assert [row["step"] for row in history] == [3]


def test_history_has_a_column_per_latent_dimension() -> None:
    settings = {**spec(steps=20), "method": "prob_unet", "options": {"latent": 3, "beta": 1e-4}}
    _, history = run(settings)
    assert [[name for name in row if name.startswith("kl_")] for row in history] == [["kl_0", "kl_1", "kl_2"]] * 4
    assert all(row[f"kl_{k}"] >= 0 for row in history for k in range(3))
    assert not any(name.startswith("kl_") for row in run(spec())[1] for name in row)


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


@pytest.mark.parametrize("count", [1, 3, 16])
def test_equal_samples_have_no_mutual_information(count: int) -> None:
    arrays = sampling.summarise_samples(torch.rand(1, 4, 50, 50).expand(count, -1, -1, -1))
    assert not arrays["mutual_information"].any()
    assert arrays["expected_entropy"].max() > 0.9


def test_small_mutual_information_is_rounding_and_larger_is_kept() -> None:
    """Samples 1/2 + t and 1/2 - t have 2 t^2 / ln 2 bits, for small t."""
    for bits in (2e-6, 9e-6, 1.5e-5, 1e-3):
        t = (bits * np.log(2) / 2) ** 0.5
        arrays = sampling.summarise_samples(torch.tensor([0.5 + t, 0.5 - t]).reshape(2, 1, 1, 1))
        expected = pytest.approx(bits, rel=0.05) if bits > 1e-5 else 0
        assert float(arrays["mutual_information"].squeeze()) == expected


def test_expected_logarithms_are_finite_and_clipped() -> None:
    p = np.array([0, 1e-12, 1e-6, 0.3, 0.5, 1 - 1e-6, 1]).astype(np.float32)
    pairs = torch.from_numpy(np.stack(np.broadcast_arrays(p[:, None], p))).reshape(2, 1, 7, 7)
    arrays = sampling.summarise_samples(pairs)
    sides = {"expected_log_foreground": pairs.double().numpy(), "expected_log_background": 1 - pairs.double().numpy()}
    for name, side in sides.items():
        expected = np.log(side.clip(1e-8, 1 - 1e-8)).mean(axis=0)
        assert arrays[name].dtype == np.float16
        assert arrays[name] == pytest.approx(expected, rel=1e-3, abs=1e-4)
        assert arrays[name].min() == np.float16(np.log(1e-8))


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
    header, *rows = where["history"].read_text().splitlines()
    assert header == "step,epoch,train_loss,val_cross_entropy,val_ged,learning_rate,seconds"
    assert [row.partition(",")[0] for row in rows] == ["5", "10", "15", "20"]
    assert torch.load(where["weights"], weights_only=True)["spec"] == json.dumps(SPEC, sort_keys=True)

    sample_spec = json.dumps({"draws": 16, "seed": 0})
    arguments = ["--spec", sample_spec, "--weights", str(where["weights"]), "--samples", str(tmp_path / "samples.h5")]
    monkeypatch.setattr("sys.argv", ["sample", *common, *arguments])
    sample.main()
    with h5py.File(tmp_path / "samples.h5") as file:
        assert file["samples"].shape == (4, 1, 32)
        assert file["mean_probability"].shape == (4, 16, 16)
        assert [i.decode() for i in file["image_id"]] == ["i8", "i9", "i10", "i11"]
        assert [i.decode() for i in file["validation_image_id"]] == ["i6", "i7"]
        assert file["validation_probability"].shape == (2, 16, 16)
        assert file.attrs["draws"] == "exact"
    names = sorted(path.name for path in tmp_path.rglob("*"))
    assert names == ["cell", "data.h5", "history.csv", "samples.h5", "weights.pt"]

    if not torch.cuda.is_available():
        monkeypatch.setattr("sys.argv", ["sample", *common[:-3], "cuda", "--threads", "1", *arguments])
        with pytest.raises(SystemExit, match=r"segunc: config key device is 'cuda', but torch finds no GPU"):
            sample.main()
