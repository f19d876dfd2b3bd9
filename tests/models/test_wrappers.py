"""Wrappers of trained networks: test-time augmentation, alone and around each kind of model."""

from collections.abc import Callable
from itertools import product

import pytest
import torch
from helpers.training import SPEC
from torch import Tensor, nn

from segunc.catalogue.options import available, options_of, wraps
from segunc.learning import contract
from segunc.learning.build import build, wrap
from segunc.models import tta
from segunc.networks.shape import Backbone, DataStatistics
from segunc.networks.work import ModelWork, Work, work_of, wrapped_work
from segunc.runtime.errors import UserError

WRAPPERS = [method for method in available("models") if wraps(method)]
VIEWS = (2, 4, 8)


class Pointwise(nn.Module):
    """An exact model whose outcomes do not depend on the orientation of the image: p, and its square."""

    draws = "exact"

    def sample(self, images: Tensor, n: int, generator: torch.Generator) -> Tensor:
        return torch.stack([images[:, 0], images[:, 0] ** 2])


class Rows(nn.Module):
    """An exact model that looks at the orientation: the share of the row in the image, below any image."""

    draws = "exact"

    def sample(self, images: Tensor, n: int, generator: torch.Generator) -> Tensor:
        height, width = images.shape[-2:]
        return torch.linspace(0, 1, height)[:, None].expand(1, len(images), height, width)


class Noise(Rows):
    """Independent samples: the rows, with a random number for each whole sample."""

    draws = "independent"

    def sample(self, images: Tensor, n: int, generator: torch.Generator) -> Tensor:
        rows = super().sample(images, n, generator)
        return rows * (0.5 + 0.5 * torch.rand(n, 1, 1, 1, generator=generator))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def trained(method: str, **options: object) -> nn.Module:
    torch.manual_seed(0)
    spec = {**SPEC, "method": method, "options": options}
    return build(spec, DataStatistics(mean=[0.5], std=[0.2], foreground=0.1)).eval()


def test_there_are_wrappers() -> None:
    assert WRAPPERS == ["tta"]
    assert options_of("models", "tta", "build")(of="unet").model_dump() == {"of": "unet", "views": 8}
    assert not wraps("unet") and not wraps("no_such_method")


@pytest.mark.parametrize("views", VIEWS)
def test_views_are_a_group_of_symmetries_with_inverses(views: int) -> None:
    square = torch.arange(25).view(5, 5)
    symmetries = tta.symmetries(views)
    seen = {tuple(tta.transformed(square, one).flatten().tolist()) for one in symmetries}
    twice = {
        tuple(tta.transformed(tta.transformed(square, one), other).flatten().tolist())
        for one, other in product(symmetries, repeat=2)
    }
    assert len(seen) == views and twice == seen
    images = torch.rand(2, 3, 4, 7)
    assert all(torch.equal(tta.transformed_back(tta.transformed(images, one), one), images) for one in symmetries)


@pytest.mark.parametrize("views", VIEWS)
def test_an_equivariant_model_stays_as_it_is(views: int) -> None:
    images, model = torch.rand(2, 1, 5, 7), Pointwise()
    own, all_views = (m.sample(images, 3, seeded()) for m in (model, tta.wrap(model, views=views)))
    assert all_views.shape == (2 * views, 2, 5, 7)
    assert torch.equal(all_views, own.repeat(views, 1, 1, 1))


def test_views_of_a_model_that_looks_at_the_orientation() -> None:
    """Rows that rise downwards are seen to rise in each direction: down twice, up, right and left."""
    down = torch.linspace(0, 1, 6)[:, None].expand(6, 6)
    expected = {2: [down, down], 4: [down, down, down.flip(0), down.flip(0)]}
    expected[8] = [*expected[4], down.T, down.T, down.T.flip(1), down.T.flip(1)]
    for views in VIEWS:
        found = tta.wrap(Rows(), views=views).sample(torch.rand(1, 1, 6, 6), 1, seeded()).squeeze(1)
        assert sorted(one.flatten().tolist() for one in found) == sorted(
            one.flatten().tolist() for one in expected[views]
        )


def test_independent_samples_are_of_views_chosen_at_random() -> None:
    model = tta.wrap(Noise(), views=8)
    samples = model.sample(torch.rand(2, 1, 6, 6), 2000, seeded())
    assert model.draws == "independent" and samples.shape == (2000, 2, 6, 6)
    # In which corners a sample is 0: the rows rise from one of four sides, with equal probability.
    zero = samples[:, 0, [0, 0, -1, -1], [0, -1, 0, -1]] == 0
    sides = [
        (zero == torch.tensor(side)).all(dim=1) for side in ([1, 1, 0, 0], [0, 0, 1, 1], [1, 0, 1, 0], [0, 1, 0, 1])
    ]
    assert all(int(side.sum()) == pytest.approx(500, abs=80) for side in sides)
    assert sum(int(side.sum()) for side in sides) == 2000
    # Not one view after the other: neighbouring samples are as independent as others.
    assert all(150 > int((side[:-1] & side[1:]).sum()) > 90 for side in sides)
    assert len(samples[:, 0].amax(dim=(1, 2)).unique()) > 1900


@pytest.mark.parametrize("method", WRAPPERS)
@pytest.mark.parametrize("of", ["unet", "ensemble", "mc_dropout", "prob_unet"])
def test_wrappers_of_all_kinds_keep_the_contract(method: str, of: str) -> None:
    model = trained(of)
    wrapped = wrap({"method": method, "options": {}}, model)
    contract.check_wrapper(wrapped, method, torch.rand(2, 1, 16, 16), "float32")
    assert wrapped.draws == model.draws
    with torch.no_grad():
        assert wrapped.sample(torch.rand(3, 1, 13, 18), 4, seeded()).shape[1:] == (3, 13, 18)


def test_a_wrapper_that_breaks_the_contract_is_one_sentence() -> None:
    class Logits(Pointwise):
        def sample(self, images: Tensor, n: int, generator: torch.Generator) -> Tensor:
            return 3 * super().sample(images, n, generator) + 1

    faults: dict[str, Callable[[], object]] = {
        "wrap() returns None, not a torch.nn.Module; return one": lambda: None,
        "the model has no method sample(images, n, generator); define it": nn.Identity,
        "apply the sigmoid to logits": Logits,
    }
    for sentence, made in faults.items():
        with pytest.raises(UserError, match=r"^models/view\.py breaks the contract of models") as error:
            contract.check_wrapper(made(), "models/view.py", torch.rand(2, 1, 16, 16), "float32")
        assert sentence in str(error.value)


@pytest.mark.parametrize("of", ["unet", "ensemble", "mc_dropout"])
def test_work_is_what_the_wrapper_does(of: str) -> None:
    """WORK against the outputs of convolutions that sampling writes."""
    model = trained(of)
    wrapped = wrap({"method": "tta", "options": {"views": 4}}, model)
    written = [0.0]
    for module in model.modules():
        if isinstance(module, nn.Conv2d) and module.kernel_size == (3, 3):
            module.register_forward_hook(lambda module, _, output: written.__setitem__(0, written[0] + output.numel()))

    def values(n: int) -> float:
        written[0] = 0
        with torch.no_grad():
            wrapped.sample(torch.rand(2, 1, 32, 32), n, seeded())
        return written[0] / 2

    options = options_of("models", of, "build")().model_dump()
    alone = work_of(of, options, Backbone(**SPEC["backbone"]), channels=1, size=32)
    work = wrapped_work("tta", {"views": 4}, alone)
    some, twice = values(64), values(128)
    assert (twice - some) / 64 == work.sample.values
    assert 2 * some - twice == work.image.values == 4 * alone.image.values
    assert work.training == alone.training and work.unet == alone.unet


def test_a_wrapper_without_usable_work_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segunc.networks.work.constant_of", lambda *_: {"image": {"unet": 1}, "sample": {}})
    alone = ModelWork(Work(), Work(), Work(), Work())
    with pytest.raises(UserError, match=r"models/tta\.py does not state its work .*'unet'"):
        wrapped_work("tta", {}, alone)
