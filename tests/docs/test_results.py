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


@pytest.mark.parametrize(("dataset", "heading", "judged"), [("lidc", "LIDC-IDRI", 19), ("isic18", "ISIC 2018", 7)])
def test_each_verdict_of_the_run_stands_on_the_page(dataset: str, heading: str, judged: int) -> None:
    rows = pd.read_csv(FOLDER / "real/claims.csv")
    rows = rows[(rows["part"] == "all") & (rows["dataset"] == dataset) & (rows["verdict"] != "not in this run")]
    assert len(rows) == judged
    section = read("docs/results.md").split(f"### {heading}\n")[1].split("\n## ")[0].split("\n### ")[0]
    for claim, verdict in zip(rows["estimand"], rows["verdict"], strict=True):
        assert f"| {claim} | {verdict} |" in section


def test_each_round_of_active_learning_ran_on_one_of_the_machines(render: ModuleType) -> None:
    rows = pd.read_csv(FOLDER / "real/costs.csv")
    rounds = [render.jobs("real", "active_evaluate", python) for python in rows["python"].unique()]
    assert len(rounds) == 2 and sum(rounds) == render.planned("real", "active_evaluate")["jobs"]


def test_a_pair_that_the_table_has_the_other_way_round_changes_sign(render: ModuleType) -> None:
    pair = ("real", "lidc", "ged_u")
    there, back = (render.difference(*pair, *models) for models in (("unet", "ensemble"), ("ensemble", "unet")))
    assert there == (-back[0], -back[2], -back[1])
    rows = pd.read_csv(FOLDER / "real/comparisons.csv").set_index(["dataset", "metric", "model_a", "model_b"])
    assert there[0] == rows.loc[("lidc", "ged_u", "unet", "ensemble"), "difference"]
    assert there[1] < there[0] < there[2]
