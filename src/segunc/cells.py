"""The cells of the grid: what is computed, for which dataset, model, strategy, seed and round.

Rules, specs, tables and the plan take their cells from here, so the grid is defined once. This module contains no
paths: code that needs the files of many cells gets a pattern from the rule and fills it in (`Cell.fill`).
"""

from collections.abc import Iterable, Mapping
from functools import cache
from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from segunc.config.schema import Active, Config

START = "start"
"""Stands for the strategy in round 0, which all strategies of a seed share."""
SAMPLES = "sample"
"""The rule that samples from networks."""
IMPORTED = "import_predictions"
"""The rule that reads predictions of other programs in its place."""
REPORT = "assemble"
"""The rule that writes the report."""
LEARNING_CURVES = ("cross_entropy", "dice_cut")
"""Metrics whose learning curves are plotted."""


class Cell(NamedTuple):
    """The wildcards of a job; those that its rule does not have are empty."""

    dataset: str = ""
    model: str = ""
    strategy: str = ""
    seed: int | str = ""
    round: int | str = ""
    metric: str = ""

    @classmethod
    def of(cls, wildcards: Mapping[str, Any]) -> "Cell":
        """The cell of a job's wildcards, in which seed and round may be text."""
        return _cell(tuple(wildcards.items()))

    @property
    def wildcards(self) -> dict[str, str]:
        """The wildcards of a job of this cell, as Snakemake has them."""
        return {name: str(value) for name, value in self._asdict().items() if value != ""}

    def fill(self, pattern: str) -> str:
        """A path pattern such as `results/data/{dataset}.h5` with the cell's values in it."""
        return pattern.format_map(self.wildcards)

    @property
    def previous_round(self) -> "Cell":
        """The same cell in the previous round; round 0 is shared by all strategies."""
        assert isinstance(self.round, int)
        return self._replace(round=self.round - 1, strategy=self.strategy if self.round > 1 else START)

    def __str__(self) -> str:
        """`phantom_lung unet seed 0`"""
        parts = self.wildcards.items()
        return " ".join(f"{name} {value}" if name in ("seed", "round") else value for name, value in parts)


@cache
def _cell(wildcards: tuple[tuple[str, Any], ...]) -> Cell:
    """Cached, because each rule asks for the cell of a job several times."""
    values: dict[str, Any] = {name: str(value) for name, value in wildcards}
    values |= {name: int(values[name]) for name in ("seed", "round") if name in values}
    return Cell(**values)


Step = tuple[str, Cell]
"""A job: the name of its rule, and its cell."""


def main_grid(datasets: Iterable[str], models: Iterable[str], seeds: Iterable[int]) -> list[Cell]:
    """The cells of the main grid."""
    return [Cell(dataset, model, seed=seed) for dataset, model, seed in product(datasets, models, seeds)]


def training_behind(config: "Config", cell: Cell) -> Cell:
    """The cell whose network a cell uses: its own, or that of the model that its model wraps."""
    return cell._replace(model=config.models[cell.model].of or cell.model)


def samples(config: "Config", cell: Cell) -> Step:
    """The job whose samples of a cell are scored and shown in figures."""
    return (IMPORTED if config.models[cell.model].imported else SAMPLES), cell


def trainings(config: "Config") -> list[Cell]:
    """The trainings behind the main grid, each once."""
    grid = config.grid
    sampled = [model for model in grid.models if not config.models[model].imported]
    return list(dict.fromkeys(training_behind(config, cell) for cell in main_grid(grid.datasets, sampled, grid.seeds)))


def own_trainings(config: "Config", dataset: str) -> list[Cell]:
    """The trainings of the main grid's models on a dataset, without those of models that only wrappers use."""
    grid = config.grid
    return main_grid([dataset], [model for model in grid.models if config.models[model].trained], grid.seeds)


def scored(config: "Config") -> list[Step]:
    """Every job that scores test images in the main grid: models, then baselines."""
    grid = config.grid
    return [
        *(("evaluate", cell) for cell in main_grid(grid.datasets, grid.models, grid.seeds)),
        *(("baselines", Cell(dataset, seed=seed)) for dataset, seed in product(grid.datasets, grid.seeds)),
    ]


def rounds(active: "Active") -> list[Cell]:
    """Every round of active learning that is trained and tested.

    Round 0 of a seed is one training per model, shared by all strategies; its strategy is START.
    """
    chain = [(START, 0), *product(active.strategies, range(1, active.rounds + 1))]
    return [
        Cell(dataset, model, strategy, seed, round_)
        for dataset, model, seed, (strategy, round_) in product(active.datasets, active.models, active.seeds, chain)
    ]


def is_figure(rule: str) -> bool:
    """Whether the rule plots a figure."""
    return rule.startswith("plot_")


def is_table(rule: str) -> bool:
    """Whether the rule writes the tables of many cells, or what they say."""
    return rule.endswith("tabulate") or rule == "answer"


def collects(rule: str) -> bool:
    """Whether the rule makes a figure, a table of many cells or the report, which is possible without some of them."""
    return is_figure(rule) or is_table(rule) or rule == REPORT


def plain_unet(config: "Config") -> str | None:
    """The first model of the main grid that is a plain U-Net; None if there is none."""
    return next((name for name in config.grid.models if config.models[name].method == "unet"), None)


def has_rounds(active: "Active") -> bool:
    """Whether any acquisition round is configured."""
    return all((active.datasets, active.models, active.strategies, active.seeds, active.rounds))


def shares_models(config: "Config") -> bool:
    """Whether the main grid trains any of active learning's models on all images of one of its datasets."""
    grid, active = config.grid, config.active
    return bool(set(active.datasets) & set(grid.datasets) and set(active.models) & set(grid.models))


def first_picks(active: "Active", dataset: str) -> dict[str, Cell]:
    """Round 1 of the first model and seed, by strategy: what figures show of the picks."""
    return {strategy: Cell(dataset, active.models[0], strategy, active.seeds[0], 1) for strategy in active.strategies}
