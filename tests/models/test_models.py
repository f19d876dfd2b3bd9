"""Every method with a training: the contract of `loss` and `sample`, that it learns, and that equal seeds repeat."""

import importlib
import json
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch

from segunc.catalogue.options import available, imports, options_of, wraps
from segunc.learning.build import build
from segunc.models import ssn
from segunc.models.full_prob_unet import FullGaussian
from segunc.models.level_set import energy
from segunc.models.prob_unet import Gaussian
from segunc.networks.annotator_sampling import label_sets, one_annotator
from segunc.networks.backbone import UNet
from segunc.networks.shape import Backbone, DataStatistics
from segunc.networks.work import ModelWork, work_of

METHODS = [method for method in available("models") if not (wraps(method) or imports(method))]
OUTCOMES = {"unet": 1, "soft_label": 1, "ensemble": 4, "deep_ensemble": 4, "level_set": 16}
"""Of the models whose samples are exact."""
SHAPE = Backbone(filters=[8, 12, 16], convolutions=2, normalisation="batch")
DATA = DataStatistics(mean=[0.5], std=[0.2], foreground=0.1)


def untrained(method: str, **options: object) -> torch.nn.Module:
    torch.manual_seed(0)
    return build({"method": method, "options": options, "backbone": SHAPE._asdict()}, DATA)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def eight_images() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Bright discs of eight sizes and places on noise; two annotators who agree."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:32, :32]
    discs = np.stack([(x - 10 - i) ** 2 + (y - 18 + i) ** 2 < (4 + i / 2) ** 2 for i in range(8)])
    images = 0.4 + 0.3 * discs + rng.normal(0, 0.05, discs.shape)
    masks = torch.from_numpy(discs).float()[:, None].repeat(1, 2, 1, 1)
    return torch.from_numpy(images).float()[:, None], masks, torch.ones(8, 2, dtype=torch.bool)


@pytest.mark.parametrize("method", METHODS)
def test_overfits_eight_images(method: str) -> None:
    images, masks, annotated = eight_images()
    model, generator = untrained(method), seeded()
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(120):
        optimiser.zero_grad()
        model.loss(images, masks, annotated, generator).backward()
        optimiser.step()
    model.eval()
    with torch.no_grad():
        prediction = model.sample(images, 16, generator).mean(dim=0) > 0.5
    truth = masks[:, 0] > 0.5
    dice = 2 * (prediction & truth).sum() / (prediction.sum() + truth.sum())
    assert dice > 0.9


@pytest.mark.parametrize("method", METHODS)
def test_sample_keeps_its_contract(method: str) -> None:
    images, *_ = eight_images()
    model = untrained(method).eval()
    with torch.no_grad():
        samples = model.sample(images, 16, seeded())
        again = model.sample(images, 16, seeded())
        other = model.sample(images, 16, seeded(1))
        one = model.sample(images, 1, seeded())
    assert samples.shape[1:] == (8, 32, 32)
    assert samples.dtype == torch.float32
    assert 0 <= samples.min() <= samples.max() <= 1
    assert torch.equal(samples, again)
    assert model.draws in ("exact", "independent")
    if model.draws == "exact":
        assert torch.equal(samples, other)
        assert torch.equal(samples, one)
        assert len(samples) == OUTCOMES[method]
    else:
        assert (len(samples), len(one)) == (16, 1)
        assert not torch.equal(samples, other)
        assert not torch.equal(samples[0], samples[1])


@pytest.mark.parametrize("method", METHODS)
def test_work_is_what_the_model_does(method: str) -> None:
    """WORK against the outputs of convolutions that a training step and sampling write (1x1 ones are small)."""
    images, masks, annotated = eight_images()
    model = untrained(method)
    written = {1: 0, 3: 0}
    for module in model.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.register_forward_hook(
                lambda module, _, output: written.update(
                    {module.kernel_size[0]: written[module.kernel_size[0]] + output.numel()}
                )
            )

    def values(run: Callable[[], object]) -> dict[int, int]:
        written.update({1: 0, 3: 0})
        run()
        return dict(written)

    work = work_of_default(method)
    assert values(lambda: model.loss(images, masks, annotated, seeded()))[3] == len(images) * work.training.values
    model.eval()
    with torch.no_grad():
        some, twice = (sum(values(lambda n=n: model.sample(images, n, seeded())).values()) for n in (16, 32))  # type: ignore[misc]
    each, once = (twice - some) / 16, some - (twice - some)
    if method == "ssn":  # A sum over the rank, which is not a convolution.
        each = len(images) * work.sample.values
    assert each == pytest.approx(len(images) * work.sample.values, rel=0.1)
    assert once == pytest.approx(len(images) * work.image.values, rel=0.1)
    weights = sum(p.numel() for p in model.parameters())
    assert weights == pytest.approx(work.training.weights, rel=0.1)


def work_of_default(method: str) -> ModelWork:
    options = options_of("models", method, "build")().model_dump()
    return work_of(method, options, SHAPE, channels=1, size=32)


@pytest.mark.parametrize("method", METHODS)
def test_untrained_network_predicts_the_foreground_share(method: str) -> None:
    images, *_ = eight_images()
    # The softer level sets are, the more their mean differs from the probability whose level sets they are.
    options = {"temperature": 0.5} if method == "level_set" else {}
    with torch.no_grad():
        mean = untrained(method, **options).eval().sample(images, 16, seeded()).mean()
    assert float(mean) == pytest.approx(DATA.foreground, abs=0.05)


@pytest.mark.parametrize("method", METHODS)
def test_sizes_that_do_not_halve_evenly(method: str) -> None:
    with torch.no_grad():
        assert untrained(method).eval().sample(torch.rand(2, 1, 37, 50), 4, seeded()).shape[1:] == (2, 37, 50)


@pytest.mark.parametrize("method", METHODS)
def test_annotators_who_do_not_exist_teach_nothing(method: str) -> None:
    images, masks, annotated = eight_images()
    annotated[:, 1] = False
    wrong = masks.clone()
    wrong[:, 1] = 1
    model = untrained(method)
    assert model.loss(images, masks, annotated, seeded()) == model.loss(images, wrong, annotated, seeded())


def test_evaluation_does_not_depend_on_the_rest_of_the_batch() -> None:
    images, *_ = eight_images()
    model = untrained("mc_dropout").eval()
    with torch.no_grad():
        for _ in range(3):
            model.train()
            model.loss(images, *eight_images()[1:], seeded())
        model.eval()
        state = {name: value.clone() for name, value in model.state_dict().items()}
        model.sample(images, 4, seeded())
        alone = model.net(images[:1])
        together = model.net(images)[:1]
    assert torch.allclose(alone, together, atol=1e-5)
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())


def test_dropout_spares_the_image_and_the_finer_encoder() -> None:
    """With dropout on, inputs and outputs of the finer half of the encoder are those without (defect B1)."""
    images, *_ = eight_images()
    model = untrained("mc_dropout", dropout=0.9).eval()
    seen: list[torch.Tensor] = []
    for block in model.net.encoder.blocks:
        block.register_forward_hook(lambda _, inputs, output: seen.extend([inputs[0], output]))
    with torch.no_grad():
        without, level_of = model.net(images), len(model.net.encoder.blocks)
        with_dropout = model.net(images, seeded())
    before, after = seen[: 2 * level_of], seen[2 * level_of :]
    spared = 2 * model.net.shallow_levels + 1  # and the input of the first deep block
    assert all(torch.equal(a, b) for a, b in zip(before[:spared], after[:spared], strict=True))
    assert not torch.equal(without, with_dropout)


def test_ensemble_members_learn_from_disjoint_annotators() -> None:
    annotated = torch.tensor([[1, 1, 1, 1], [1, 0, 1, 0], [0, 0, 0, 1]], dtype=torch.bool)
    sets = label_sets(annotated, 4)
    assert sets.shape == (4, 3, 4)
    assert torch.equal(sets[:, 0], torch.eye(4, dtype=torch.bool))
    assert [int(row.nonzero().item()) for row in sets[:, 1]] == [0, 2, 0, 2]
    assert [int(row.nonzero().item()) for row in sets[:, 2]] == [3, 3, 3, 3]
    six = label_sets(torch.ones(1, 6, dtype=torch.bool), 4)
    assert torch.equal(six.sum(dim=0), torch.ones(1, 6, dtype=torch.long))
    assert [int(row.sum()) for row in six] == [2, 2, 1, 1]


def test_members_of_a_deep_ensemble_learn_from_all_annotators() -> None:
    annotated = torch.tensor([[1, 1, 1, 1], [1, 0, 1, 0]], dtype=torch.bool)
    sets = untrained("deep_ensemble", members=2).label_sets(annotated)
    assert torch.equal(sets, torch.stack([annotated, annotated]))


def test_soft_labels_give_the_expected_loss_of_the_plain_network() -> None:
    """Annotators: both for four images, one alone for the others."""
    images, masks, annotated = eight_images()
    masks[:, 1] = 1 - masks[:, 0]
    annotated[4:, 0] = False
    loss = untrained("soft_label").loss(images, masks, annotated, seeded())
    each = []
    for pick in (0, 1):
        only = torch.zeros_like(annotated)
        only[:4, pick], only[4:, 1] = True, True
        each.append(untrained("unet").loss(images, masks, only, seeded()))
    assert torch.allclose(loss, (each[0] + each[1]) / 2, rtol=1e-5)


def test_one_annotator_is_sampled_per_image() -> None:
    masks = torch.arange(4).view(1, 4, 1, 1).expand(1000, 4, 1, 1).float()
    annotated = torch.tensor([True, False, True, True]).expand(1000, 4)
    sampled = one_annotator(masks, annotated, seeded()).flatten()
    counts = [int((sampled == slot).sum()) for slot in range(4)]
    assert counts[1] == 0
    assert min(counts[0], counts[2], counts[3]) > 280


def test_kl_divergence_against_torch() -> None:
    q = Gaussian(torch.randn(5, 6), torch.randn(5, 6))
    p = Gaussian(torch.randn(5, 6), torch.randn(5, 6))
    normal = [torch.distributions.Normal(g.mean, g.log_std.exp()) for g in (q, p)]
    assert torch.allclose(q.divergence(p), torch.distributions.kl_divergence(*normal), rtol=1e-4)


def test_full_covariances_against_torch() -> None:
    numbers = torch.randn(2, 5, FullGaussian.size(4), generator=seeded())
    q, p = (FullGaussian.of(one, 4) for one in numbers)
    normal = [torch.distributions.MultivariateNormal(g.mean, scale_tril=g.factor()) for g in (q, p)]
    each = q.divergence(p)
    assert each.shape == (5, 4) and (each >= 0).all()
    assert torch.allclose(each.sum(dim=1), torch.distributions.kl_divergence(*normal), rtol=1e-3)
    many = FullGaussian(*(part[:1].expand(200_000, *part.shape[1:]) for part in q)).sample(seeded())
    assert torch.allclose(many.mean(dim=0), q.mean[0], atol=0.05)
    assert torch.allclose(many.T.cov(), normal[0].covariance_matrix[0], rtol=0.05, atol=0.05)


def test_full_covariances_include_diagonal_ones() -> None:
    numbers = torch.randn(2, 5, Gaussian.size(4), generator=seeded())
    q, p = (Gaussian.of(one, 4) for one in numbers)
    beyond = torch.zeros(2, 5, FullGaussian.size(4) - Gaussian.size(4))
    full_q, full_p = (FullGaussian.of(one, 4) for one in torch.cat([numbers, beyond], dim=2))
    assert torch.allclose(full_q.divergence(full_p), q.divergence(p), rtol=1e-4)
    assert torch.allclose(full_q.sample(seeded()), q.sample(seeded()))


@pytest.mark.parametrize("method", METHODS)
def test_divergence_is_what_the_loss_of_a_latent_model_weighs(method: str) -> None:
    """Per image and dimension; the loss is linear in beta, and its slope is the mean over images of the sum."""
    if method not in ("prob_unet", "full_prob_unet"):
        assert not hasattr(untrained(method), "divergence")
        return
    images, masks, annotated = eight_images()
    annotated[:4, 1] = False
    light, heavy = (untrained(method, latent=3, beta=beta).eval() for beta in (1.0, 3.0))
    divergence = light.divergence(images, masks, annotated, seeded())
    assert divergence.shape == (8, 3) and (divergence >= 0).all()
    slope = (heavy.loss(images, masks, annotated, seeded()) - light.loss(images, masks, annotated, seeded())) / 2
    assert torch.allclose(slope, divergence.sum(dim=1).mean(), rtol=1e-4)
    # Masks of annotators who do not exist are not seen.
    again = light.divergence(images, torch.cat([masks[:, :1], 1 - masks[:, 1:]], dim=1), annotated, seeded())
    assert torch.equal(divergence[:4], again[:4]) and not torch.equal(divergence[4:], again[4:])


def test_logits_of_a_stochastic_segmentation_network_have_the_covariance_of_its_maps() -> None:
    model = untrained("ssn", rank=3).eval()
    torch.nn.init.normal_(model.factor.weight, std=0.5)
    images = torch.rand(1, 1, 8, 8, generator=seeded())
    with torch.no_grad():
        mean, factor, std = model.distribution(images)
        samples = model.sample(images, 40_000, seeded()).double().logit().flatten(start_dim=1)
    flat = factor[0].flatten(start_dim=1)
    expected = (flat.T @ flat + std.flatten().square().diag()).double()
    scale = expected.diag().sqrt()
    assert torch.allclose(samples.mean(dim=0), mean.flatten().double(), atol=0.03 * float(scale.max()))
    assert float(((samples.T.cov() - expected) / scale / scale[:, None]).abs().max()) < 0.04


def test_loss_of_a_stochastic_segmentation_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two equally probable logits: minus the logarithm of the mean likelihood of their images, per pixel."""
    images, masks, annotated = eight_images()
    model, small = untrained("ssn", warmup=1), slice(0, 2)
    batch = images[small], masks[small], annotated[small]
    without = model.loss(*batch, seeded())
    shift = torch.full((2, 32, 32), 0.01)
    monkeypatch.setattr(ssn, "deviation", lambda *_: shift)
    loss = model.loss(*batch, seeded())
    mean = model.distribution(images[small])[0]
    likelihoods = [torch.distributions.Bernoulli(logits=mean + sign * shift) for sign in (1, -1)]
    images_of = torch.stack([one.log_prob(masks[small, 0]).sum(dim=(1, 2)) for one in likelihoods])
    assert torch.allclose(loss, -(images_of.logsumexp(dim=0) - np.log(2)).mean() / 32**2, rtol=1e-4)
    # The first step is the cross-entropy of the mean alone.
    assert torch.allclose(without, torch.nn.functional.binary_cross_entropy_with_logits(mean, masks[small, 0]))


def test_the_covariance_of_a_stochastic_segmentation_network_is_bounded() -> None:
    model = untrained("ssn").eval()
    with torch.no_grad():
        for head in (model.factor, model.log_std):
            head.weight.mul_(1e6)
        _, factor, std = model.distribution(torch.rand(2, 1, 16, 16))
    assert factor.abs().max() <= ssn.LIMIT and 0 <= std.min() <= std.max() <= ssn.LIMIT


@pytest.mark.parametrize("method", ["ssn", "level_set"])
def test_warm_up_ends_after_so_many_training_steps(method: str) -> None:
    batch = eight_images()
    model = untrained(method, warmup=2)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    losses = [model.loss(*batch, seeded()).item() for _ in range(3)]
    assert losses[0] == losses[1] != losses[2]
    again = untrained(method, warmup=2)
    again.load_state_dict(model.state_dict())
    assert again.loss(*batch, seeded()).item() == losses[2]
    again.load_state_dict(state)
    again.eval()
    with torch.no_grad():
        again.loss(*batch, seeded())
        again.sample(batch[0], 2, seeded())
    assert int(again.warm_up.done) == 0


def test_energy_of_level_sets_against_all_pairs() -> None:
    """Of the soft distance 1 - (sum min + 1) / (sum max + 1), with one annotator missing."""
    generator = seeded()
    model = untrained("level_set")
    nested = model.level_sets(torch.randn(2, 1, 4, 4, generator=generator))
    masks = (torch.rand(2, 3, 4, 4, generator=generator) > 0.5).float()
    annotated = torch.tensor([[True, True, True], [True, False, True]])

    def distance(u: torch.Tensor, v: torch.Tensor) -> float:
        return float(1 - (torch.minimum(u, v).sum() + 1) / (torch.maximum(u, v).sum() + 1))

    expected = []
    for image in range(2):
        levels, own = nested[:, image], masks[image, annotated[image]]
        cross = np.mean([distance(s, y) for s in levels for y in own])
        within = np.mean([distance(s, t) for s in levels for t in levels])
        expected.append(2 * cross - within)
    assert float(energy(nested, masks, annotated)) == pytest.approx(np.mean(expected), rel=1e-5)
    assert (nested[:-1] >= nested[1:]).all()


def test_latent_nets_do_not_grow_with_the_image() -> None:
    """Global average pooling: prior and posterior together stay below two encoders' size (defect B5)."""
    model = untrained("prob_unet")
    unet = sum(p.numel() for p in UNet(DATA, SHAPE).parameters())
    assert sum(p.numel() for p in model.parameters()) < 3 * unet


def test_a_flow_reaches_the_distribution_that_its_network_knows() -> None:
    """All pixels of an image are foreground with probability 0.3, else none; g is the exact posterior of a point."""
    model, images = untrained("flow_ssn", steps=40).eval(), torch.zeros(1500, 1, 4, 4)

    def posterior(features: torch.Tensor, y: torch.Tensor, t: float) -> torch.Tensor:
        mean = model.base(features)
        evidence = 2 * t * (y - (1 - t) * mean) / (1 - t) ** 2
        return (math.log(0.3 / 0.7) + evidence.sum(dim=(2, 3), keepdim=True)).expand_as(y)

    model.logits = posterior
    with torch.no_grad():
        (sample,) = model.sample(images, 1, seeded())
    assert torch.equal(sample > 0.5, (sample[:, :1, :1] > 0.5).expand_as(sample))
    assert float(sample.mean()) == pytest.approx(0.3, abs=0.04)
    assert float(((sample > 0.01) & (sample < 0.99)).float().mean()) < 0.02


def test_methods_are_found_by_name() -> None:
    several = {"flow_ssn", "full_prob_unet", "mc_dropout", "mc_ensemble", "prob_unet", "ssn"}
    assert set(OUTCOMES) | several == set(METHODS)
    assert all(hasattr(importlib.import_module(f"segunc.models.{name}"), "build") for name in METHODS)
    assert json.dumps(SHAPE._asdict())
