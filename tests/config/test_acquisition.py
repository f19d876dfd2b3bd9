"""Which job selects the images of a round."""

from typing import get_args

import pytest
from helpers.config import changed, read_config

import segunc.config.load
from segunc.catalogue.options import has_method
from segunc.cells import START, Cell
from segunc.config.acquisition import NEEDS, acquisition, needs_model
from segunc.config.load import ConfigError, load
from segunc.runtime.errors import UserError
from segunc.strategies import Needs

CONFIG = load(read_config())


def test_which_strategies_need_the_model() -> None:
    needing = {name for name in CONFIG.strategies if needs_model(CONFIG, name)}
    assert needing == {"entropy", "entropy_mean", "bald", "power_bald", "coreset"}


def test_models_share_what_needs_none_of_them() -> None:
    first = Cell("phantom_lung", "unet", START, 0, 0)
    assert acquisition(CONFIG, first) == ("active_start", Cell("phantom_lung", seed=0))
    random = Cell("phantom_lung", "unet", "random", 0, 1)
    assert acquisition(CONFIG, random) == ("active_acquire", random._replace(model=""))
    entropy = random._replace(strategy="entropy")
    assert acquisition(CONFIG, entropy) == ("active_acquire_with_model", entropy)


@pytest.mark.parametrize(("strategy", "round_"), [(START, 2), ("entropy", 0), (START, -1)])
def test_rounds_that_no_grid_has(strategy: str, round_: int) -> None:
    with pytest.raises(UserError, match=f"strategy {strategy} has no round {round_}"):
        acquisition(CONFIG, Cell("phantom_lung", "unet", strategy, 0, round_))


def test_models_without_the_features_of_a_strategy_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    asking = changed(read_config(), "active.strategies", ["random", "coreset"])
    load(asking)
    monkeypatch.setattr(segunc.config.load, "has_method", lambda family, name, method: name == "unet")
    with pytest.raises(ConfigError) as error:
        load(asking)
    said = str(error.value)
    assert said.startswith("config key active.models lists prob_unet, but /") and said.count("config key") == 1
    assert said.endswith(
        "models/prob_unet.py has no method features(images), which coreset of active.strategies asks for; define it, "
        "or leave out the model or the strategy."
    )
    load(changed(asking, "active.models", ["unet"]))
    load(changed(asking, "active.strategies", ["random", "entropy"]))


def test_methods_are_found_in_the_text_of_a_file() -> None:
    assert all(has_method("models", method, "features") for method in ("unet", "ensemble", "mc_dropout", "prob_unet"))
    assert has_method("models", "prob_unet", "divergence") and not has_method("models", "unet", "divergence")
    assert not has_method("models", "unet", "build")
    # Its class inherits the method from that of the ensemble.
    assert has_method("models", "deep_ensemble", "features") and not has_method("models", "deep_ensemble", "divergence")


def test_a_strategy_that_needs_something_unknown_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(NEEDS) == set(get_args(Needs))
    monkeypatch.setattr(segunc.config.load, "needs", lambda config, name: "logits" if name == "bald" else "nothing")
    sentence = r"strategies/bald\.py has the constant NEEDS = 'logits', but it must be 'nothing' or .*; change it\.$"
    with pytest.raises(ConfigError, match=sentence):
        load(read_config())
