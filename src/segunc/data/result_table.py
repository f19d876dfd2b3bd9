"""Reading the tables of `results/tables`."""

from pathlib import Path

import pandas as pd

from segunc.data.result_csv import open_csv

IDS = ("dataset", "model", "model_a", "model_b", "strategy", "strategy_a", "strategy_b", "metric", "claim", "part")
"""Columns that are text: an id may be `true` or `inf`."""


def read_table(path: Path) -> pd.DataFrame:
    """A table of the stages `tabulate`, `active_tabulate` and `claims_tabulate`.

    Only empty fields are read as missing, so that a model may be called `null`. Raises UserError as `open_csv` does.
    """
    with open_csv(path) as file:
        return pd.read_csv(file, dtype=dict.fromkeys(IDS, str), keep_default_na=False, na_values=[""])
