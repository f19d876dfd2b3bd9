"""Which job selects the images of a round."""

import pytest
from helpers.config import read_config

from segunc.cells import START, Cell
from segunc.config.acquisition import acquisition, needs_model
from segunc.config.load import load
from segunc.runtime.errors import UserError

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
