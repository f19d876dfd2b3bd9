"""docs/results.md has the numbers of the tables in docs/results, and no others."""

import importlib.util
import re
from types import ModuleType

import pandas as pd
import pytest
from helpers.documents import read
from helpers.workflow import ROOT

FOLDER = ROOT / "docs/results"


@pytest.fixture(scope="module")
def render() -> ModuleType:
    spec = importlib.util.spec_from_file_location("render", FOLDER / "render.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_what_the_tables_say(render: ModuleType) -> None:
    assert render.page() == read("docs/results.md"), "python docs/results/render.py"


def test_measured_numbers_are_not_typed() -> None:
    """Numbers with three decimals are results; in the template, they only come from expressions."""
    template = read("docs/results/results.md.j2")
    typed = re.sub(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", "", template, flags=re.DOTALL)
    assert re.findall(r"\d\.\d{3}", typed) == []


def test_each_verdict_of_the_run_stands_on_the_page(render: ModuleType) -> None:
    rows = pd.read_csv(FOLDER / "real/claims.csv")
    of_claims = rows[(rows["part"] == "all") & (rows["dataset"] != "all datasets")]
    judged = of_claims[of_claims["verdict"] != "not in this run"]
    assert len(judged) > 20
    page = render.page()
    for verdict, claims in judged.groupby("verdict"):
        for claim in claims["estimand"]:
            assert f"| {claim} | {verdict} |" in page


def test_the_costs_of_a_run_add_up(render: ModuleType) -> None:
    rows = pd.read_csv(FOLDER / "real/costs.csv")
    assert render.hours("real/costs") == pytest.approx(rows["cpu_seconds"].sum() / 3600)
    rounds = [render.jobs("real", "active_evaluate", python) for python in rows["python"].unique()]
    assert sum(rounds) == 136


def test_a_pair_that_the_table_has_the_other_way_round_changes_sign(render: ModuleType) -> None:
    pair = ("real", "lidc", "ged_u")
    there, back = (render.difference(*pair, *models) for models in (("unet", "ensemble"), ("ensemble", "unet")))
    assert there == (-back[0], -back[2], -back[1])
    assert there[1] < there[0] < there[2]
