"""The contract of models at the door: each mistake with its sentence, and what a check leaves as it was."""

import random

import numpy as np
import pytest
import torch
from helpers.training import CPU, SPEC, images, spec
from torch import nn

from segunc.catalogue.options import available, imports, wraps
from segunc.learning import contract, training
from segunc.learning.build import build, file_of
from segunc.networks.shape import DataStatistics
from segunc.runtime.errors import UserError

METHODS = [method for method in available("models") if not (wraps(method) or imports(method))]
BATCH = training._batch(images(2), np.arange(2), CPU)
H = W = 16


class Right(nn.Module):
    """A model that keeps the contract: a 1x1 convolution with noise on its logits."""

    draws = "independent"

    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(1, 1, 1)
        self.norm = nn.BatchNorm2d(1)

    def logits(self, images, generator):
        logits = self.norm(self.layer(images)).squeeze(1)
        return logits + torch.randn(logits.shape, generator=generator)

    def loss(self, images, masks, annotated, generator):
        target = (masks * annotated[:, :, None, None]).mean(dim=1)
        return nn.functional.binary_cross_entropy_with_logits(self.logits(images, generator), target)

    def sample(self, images, n, generator):
        return torch.stack([self.logits(images, generator).sigmoid() for _ in range(n)])


class Exact(Right):
    """Two outcomes."""

    draws = "exact"

    def sample(self, images, n, generator):
        one = self.norm(self.layer(images)).float().squeeze(1).sigmoid()
        return torch.stack([one, 1 - one])


def with_loss(function):
    """The model with another loss, made from the right one."""

    class Wrong(Right):
        def loss(self, images, masks, annotated, generator):
            return function(self, super().loss(images, masks, annotated, generator), images)

    return Wrong()


def with_samples(function, of=Right):
    """The model with other samples, made from the right ones."""

    class Wrong(of):
        def sample(self, images, n, generator):
            return function(self, super().sample(images, n, generator), n, generator)

    return Wrong()


def without(name):
    model = Right()
    setattr(model, name, None)
    return model


def with_attribute(name, value):
    model = Right()
    setattr(model, name, value)
    return model


def training_mode(model, samples, n, generator):
    model.norm.train()
    return samples


def running_statistics(model, samples, n, generator):
    model.norm.running_mean += 1
    return samples


def check(model, precision="float32"):
    contract.check(model, "models/coin.py", *BATCH, precision)


MISTAKES = {
    "no module": (lambda: None, "build() returns None, not a torch.nn.Module; return the untrained network"),
    "no loss": (lambda: without("loss"), "no method loss(images, masks, annotated, generator); define it"),
    "no sample": (lambda: without("sample"), "the model has no method sample(images, n, generator); define it"),
    "other arguments": (
        lambda: with_attribute("sample", lambda images: images),
        "sample() cannot be called as sample(images, n, generator) (too many positional arguments); give it these",
    ),
    "no draws": (lambda: without("draws"), "the attribute draws is None, but must be 'independent' (each"),
    "another word": (
        lambda: with_attribute("draws", "many"),
        "the attribute draws is 'many', but must be 'independent' (each sample is a new one) or 'exact' (the samples",
    ),
    "a number as loss": (
        lambda: with_loss(lambda model, loss, images: loss.item()),
        "loss() returns a value of the type float, not a float tensor with one number; return one",
    ),
    "a loss per image": (
        lambda: with_loss(lambda model, loss, images: loss.repeat(2)),
        "loss() returns a float32 tensor of the shape (2), not a float tensor with one number; return one",
    ),
    "an infinite loss": (
        lambda: with_loss(lambda model, loss, images: loss / 0),
        "loss() is inf for two training images; keep it finite",
    ),
    "a detached loss": (
        lambda: with_loss(lambda model, loss, images: loss.detach()),
        "loss() has no gradient; compute it from the parameters without detach(), numpy or torch.no_grad()",
    ),
    "a loss of thresholded masks": (
        lambda: with_loss(lambda model, loss, images: model.layer(images).sigmoid().round().mean()),
        "the gradient of loss() is 0 in all parameters; compute it from logits or probabilities, not from thresholded",
    ),
    "a gradient that is not finite": (
        lambda: with_loss(lambda model, loss, images: (0 * model.layer(images)).sqrt().mean()),
        "the gradient of loss() is not finite in layer.weight; keep it finite",
    ),
    "a loss of global random numbers": (
        lambda: with_loss(lambda model, loss, images: loss * torch.rand(())),
        "for equal generators; take all random numbers from the generator",
    ),
    "a list of samples": (
        lambda: with_samples(lambda model, samples, n, generator: list(samples)),
        "sample() returns a value of the type list, not a float32 tensor of probabilities; convert it",
    ),
    "masks as samples": (
        lambda: with_samples(lambda model, samples, n, generator: samples > 0.5),
        "sample() returns a bool tensor of the shape (3, 2, 16, 16), not a float32 tensor of probabilities; convert it",
    ),
    "exchanged axes": (
        lambda: with_samples(lambda model, samples, n, generator: samples.transpose(0, 1)),
        "sample() returns the shape (2, 3, 16, 16) for n = 3 and 2 images, but must return (3, 2, 16, 16): samples, i",
    ),
    "an axis of channels": (
        lambda: with_samples(lambda model, samples, n, generator: samples[:, :, None]),
        "sample() returns the shape (3, 2, 1, 16, 16) for n = 3 and 2 images, but must return (3, 2, 16, 16)",
    ),
    "no axis of samples": (
        lambda: with_samples(lambda model, samples, n, generator: samples[0], Exact),
        "sample() returns the shape (2, 16, 16) for n = 3 and 2 images, but must return (S, 2, 16, 16)",
    ),
    "NaN": (
        lambda: with_samples(lambda model, samples, n, generator: samples * float("nan")),
        "sample() returns NaN; return probabilities",
    ),
    "logits": (
        lambda: with_samples(lambda model, samples, n, generator: 8 * samples - 4),
        "but probabilities are in [0, 1]; apply the sigmoid to logits",
    ),
    "global random numbers": (
        lambda: with_samples(lambda model, samples, n, generator: torch.rand(samples.shape)),
        "sample() returns other samples for an equal generator; take all random numbers from the generator",
    ),
    "numpy's random numbers": (
        lambda: with_samples(lambda model, samples, n, generator: samples * float(np.random.rand())),
        "sample() returns other samples for an equal generator; take all random numbers from the generator",
    ),
    "exact, but as many as asked for": (
        lambda: with_samples(lambda model, samples, n, generator: samples[:1].repeat(n, 1, 1, 1), Exact),
        "sample() returns a number of samples that depends on n, 1 for n = 1 and 3 for n = 3, although draws is",
    ),
    "exact, but random": (
        lambda: with_samples(lambda model, samples, n, generator: samples * torch.rand((), generator=generator), Exact),
        "sample() depends on the generator, although draws is 'exact'; return all outcomes, each once, or set draws",
    ),
    "training mode": (
        lambda: with_samples(training_mode),
        "sample() leaves norm in training mode; leave the mode as it is",
    ),
    "other running statistics": (
        lambda: with_samples(running_statistics, Exact),
        "sample() changes norm.running_mean; leave parameters and buffers as they are",
    ),
    "features that are no vectors": (
        lambda: with_attribute("features", lambda images: images),
        "features() returns a float32 tensor of the shape (2, 1, 16, 16) for 2 images, but must return finite numbers "
        "of the shape (2, any); change it",
    ),
    "one divergence for all images": (
        lambda: with_attribute("divergence", lambda images, masks, annotated, generator: images.mean()),
        "divergence() returns a float32 tensor of the shape () for 2 images, but must return finite numbers of the",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_each_mistake_has_its_sentence(mistake):
    model, sentence = MISTAKES[mistake]
    with pytest.raises(UserError) as error:
        check(model())
    said = str(error.value)
    assert said.startswith("models/coin.py breaks the contract of models (segunc.models): ")
    assert sentence in said and said.endswith(".") and "\n" not in said


@pytest.mark.parametrize("model", [Right, Exact])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_models_that_keep_the_contract_pass(model, precision):
    check(model(), precision)


@pytest.mark.parametrize("normalisation", ["batch", "none"])
@pytest.mark.parametrize("method", METHODS)
def test_the_methods_pass_and_stay_as_they_are(method, normalisation):
    backbone = {**SPEC["backbone"], "normalisation": normalisation}
    model = build({**SPEC, "method": method, "backbone": backbone}, DataStatistics([0.5], [0.2], 0.1))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    states = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
    check(model)
    assert torch.equal(states[0], torch.get_rng_state())
    assert states[1:] == (np.random.get_state()[1].tolist(), random.getstate())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert model.training and all(parameter.grad is None for parameter in model.parameters())


def test_a_model_that_uses_up_global_random_numbers_leaves_them():
    model = with_loss(lambda model, loss, images: loss * torch.rand(()))
    state = torch.get_rng_state()
    with pytest.raises(UserError):
        check(model)
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("count", [1, 10])
def test_training_checks_before_its_first_step(count, monkeypatch):
    """The sentence names the file of the method, and no step was taken."""
    monkeypatch.setattr(training, "build", lambda *_: with_samples(lambda model, samples, n, generator: samples - 1))
    monkeypatch.setattr(training, "_step", lambda *_: pytest.fail("a step was taken"))
    with pytest.raises(UserError, match="apply the sigmoid to logits") as error:
        training.train(spec(), images(count), None, CPU, "test")
    assert str(error.value).startswith(f"{file_of(SPEC)} breaks the contract") and file_of(SPEC).endswith("unet.py")


def test_training_does_not_depend_on_the_check(monkeypatch):
    torch.set_num_threads(1)
    settings = {**spec(steps=3), "method": "mc_dropout"}
    checked, history = training.train(settings, images(), images(4, seed=1), CPU, "test")
    monkeypatch.setattr(contract, "check", lambda *_: None)
    unchecked, again = training.train(settings, images(), images(4, seed=1), CPU, "test")
    assert all(torch.equal(value, unchecked["state"][name]) for name, value in checked["state"].items())
    assert [{**row, "seconds": 0} for row in history] == [{**row, "seconds": 0} for row in again]
