"""Which job selects the images that a round of active learning labels."""

from segunc.catalogue.options import constant_of
from segunc.cells import START, Cell, Step
from segunc.config.schema import STRATEGY, Config
from segunc.runtime.errors import UserError

NEEDS = ("nothing", "annotations", "uncertainty", "features")
"""What a strategy may need (`segunc.strategies`)."""


def needs(config: Config, strategy: str) -> str:
    """What the strategy needs: one of NEEDS, unless its file has a mistake."""
    return constant_of(STRATEGY[0], config.strategies[strategy].method, "NEEDS")


def needs_model(config: Config, strategy: str) -> bool:
    """Whether the strategy needs the model of the round before, so that a round waits for the training before it."""
    return needs(config, strategy) in ("uncertainty", "features")


def acquisition(config: Config, cell: Cell) -> Step:
    """The job that writes the labelled images of a round. Without a model, all models share the job.

    Raises UserError for a round that no grid has: round 0 of a strategy, or a later round of START.
    """
    if (cell.round == 0) != (cell.strategy == START):
        raise UserError(
            f"strategy {cell.strategy} has no round {cell.round}: "
            f"all strategies share round 0, whose strategy is called {START}."
        )
    if cell.round == 0:
        return "active_start", Cell(cell.dataset, seed=cell.seed)
    if needs_model(config, cell.strategy):
        return "active_acquire_with_model", cell
    return "active_acquire", cell._replace(model="")
