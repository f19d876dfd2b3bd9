"""The report as a user opens it: nothing from the network, nothing cut, everything reachable; the image browser."""

import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from helpers.chromium import Chromium, chromium
from helpers.workflow import Study

from segunc.page.tables import MOST

WINDOWS = [(1366, 768), (1920, 1080)]
CUT = "const page = document.documentElement; return page.scrollWidth - page.clientWidth"
"""Pixels to the right of the window."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Chromium]:
    with chromium() as one:
        yield one


@pytest.fixture(scope="module")
def page(study: Study) -> Path:
    return study.folder / "results/report.html"


@pytest.mark.parametrize(("width", "height"), WINDOWS)
def test_figures_and_their_captions_fit_the_window(browser: Chromium, page: Path, width: int, height: int) -> None:
    browser.open(page, width, height)
    figures = browser.run(
        """
        return [...document.querySelectorAll(".figures figure")].map((figure) => {
          const [image, caption] = ["img", "figcaption"].map((part) => figure.querySelector(part));
          const [box, below] = [image, caption].map((part) => part.getBoundingClientRect());
          return {
            name: figure.id.replace("figure-", ""), pdf: caption.querySelector("a").getAttribute("href"),
            drawn: image.naturalWidth > 0, left: box.left, right: box.right, height: box.height,
            caption: caption.textContent.trim().length, below: below.top - box.bottom,
          };
        })
        """
    )
    assert {figure["name"] for figure in figures} == {path.stem for path in (page.parent / "figures").glob("*.png")}
    for figure in figures:
        assert figure["drawn"] and 0 <= figure["left"] < figure["right"] <= width, figure
        assert figure["height"] <= height and figure["below"] >= 0 and figure["caption"] > 100, figure
        assert (page.parent / figure["pdf"]).exists()
    assert browser.run(CUT) == 0


def test_the_first_screen_has_the_answer(browser: Chromium, page: Path) -> None:
    browser.open(page, *WINDOWS[0])
    assert browser.run("return document.querySelector('h1').textContent") == "Is segmentation uncertainty useful?"
    inside = "return document.querySelector('#answer li, #answer p').getBoundingClientRect().bottom < innerHeight"
    assert browser.run(inside)
    links = browser.run("return [...document.querySelectorAll('nav a')].map((link) => link.getAttribute('href'))")
    for name in ("#claims", "#images", "#figures", "#active-learning", "#tables", "#run"):
        assert name in links and browser.run("return Boolean(document.querySelector(arguments[0]))", name)


@pytest.mark.parametrize(("width", "height"), WINDOWS)
def test_every_table_sorts_and_filters(browser: Chromium, page: Path, width: int, height: int) -> None:
    browser.open(page, width, height)
    tables = {path.stem: path for path in (page.parent / "tables").glob("*.csv")}
    names = browser.run("return [...document.querySelectorAll('details.table')].map((table) => table.id)")
    assert sorted(names) == sorted(f"table-{name}" for name in tables)
    for name, path in tables.items():
        browser.run("document.getElementById(arguments[0]).open = true", f"table-{name}")
        shown = browser.wait("return document.querySelector(arguments[0])?.textContent", f"#table-{name} .dt-info")
        rows = len(pd.read_csv(path))
        assert f"of {rows:,} entries" in shown, name
        assert (
            page.parent
            / browser.run(
                "return document.querySelector(arguments[0]).getAttribute('href')", f"#table-{name} summary a"
            )
        ).samefile(path)
    assert browser.run(CUT) == 0

    browser.run(
        """
        const rows = document.querySelector("#table-summary .dt-length select");
        rows.value = arguments[0];
        rows.dispatchEvent(new Event("change"));
        """,
        str(MOST),
    )
    summary = pd.read_csv(tables["summary"])
    # Undefined values are last in both directions.
    assert summary["mean"].isna().any() and summary["scope"].isna().any()
    for place, name in ((4, "mean"), (8, "scope")):
        for ascending in (True, False):
            browser.run("document.querySelectorAll('#table-summary thead th')[arguments[0]].click()", place - 1)
            expected = list(summary[name].sort_values(ascending=ascending, na_position="last"))
            cells = f"document.querySelectorAll('#table-summary tbody td:nth-child({place})')"
            # A click sorts after a pause.
            until = time.monotonic() + 20
            while not same(browser.run(f"return [...{cells}].map((cell) => cell.textContent)"), expected):
                assert time.monotonic() < until, (name, ascending)
                time.sleep(0.1)
    browser.run(
        """
        const field = document.querySelectorAll("#table-summary tfoot input")[2];
        field.value = "ged_u";
        field.dispatchEvent(new Event("change", { bubbles: true }));
        """
    )
    kept = browser.run("return document.querySelector('#table-summary .dt-info').textContent")
    assert f"of {(pd.read_csv(tables['summary'])['metric'] == 'ged_u').sum()} entries" in kept


def same(shown: list[str], values: list[float | str]) -> bool:
    """Whether a column of a table shows these values."""
    if any(isinstance(value, str) for value in values):
        return shown == ["" if pd.isna(value) else value for value in values]
    numbers = [float("nan") if text == "–" else float(text) for text in shown]
    return numbers == pytest.approx(values, rel=1e-3, abs=1e-9, nan_ok=True)


def scores_of(page: Path, dataset: str, model: str) -> pd.DataFrame:
    return pd.read_csv(page.parent / f"scores/{dataset}/{model}/seed0/images.csv", dtype={"image_id": str})


def thumbnails(browser: Chromium) -> list[str]:
    script = "return [...document.querySelectorAll('.thumbnail')].map((node) => node.title)"
    browser.run("document.getElementById('images').scrollIntoView()")
    return browser.wait(script)


def test_images_are_sorted_and_filtered(browser: Chromium, page: Path) -> None:
    browser.open(page, *WINDOWS[0])
    scores = scores_of(page, "phantom_lung", "mc_dropout").set_index("image_id")
    assert set(thumbnails(browser)) == set(scores.index)
    browser.choose("model", 1)
    columns = {"ged_u": "ged_u", "dice": "dice", "u_mean_entropy": "u_mean_entropy", "u_pairwise": "u_pairwise"}
    for name, column in {**columns, "disagreement": "annotator_distance"}.items():
        browser.choose("sort", name)
        for order, ascending in ((1, True), (-1, False)):
            browser.choose("order", order)
            values = scores.loc[thumbnails(browser), column].dropna().to_numpy()
            steps = values[1:] - values[:-1]
            assert ((steps if ascending else -steps) >= -1e-3).all(), (name, order)
    for votes in sorted(set(scores["votes"])):
        browser.choose("votes", votes)
        assert set(thumbnails(browser)) == set(scores.index[scores["votes"] == votes])
    browser.choose("votes", "any")
    browser.choose("dice", 0.5)
    assert set(thumbnails(browser)) == set(scores.index[scores["dice"] <= 0.5])
    browser.choose("dice", 1)
    counts = []
    for outcome in range(4):
        browser.choose("outcome", outcome)
        counts.append(browser.run("return Number(document.getElementById('count').textContent.split(' ')[0])"))
    assert sum(counts) == len(scores)
    browser.choose("outcome", "any")
    browser.choose("text", scores.index[2])
    assert thumbnails(browser) == [scores.index[2]]
    browser.choose("text", "")
    browser.choose("dataset", 1)
    assert set(thumbnails(browser)) == set(scores_of(page, "lidc", "unet")["image_id"])


@pytest.mark.parametrize(("width", "height"), WINDOWS)
def test_one_image_with_all_models(browser: Chromium, page: Path, width: int, height: int) -> None:
    browser.open(page, width, height)
    scores = scores_of(page, "phantom_lung", "unet").set_index("image_id")
    first, second = thumbnails(browser)[:2]
    browser.run("document.querySelector('.thumbnail').click()")
    shown = browser.run(
        """
        const box = document.getElementById("detail").getBoundingClientRect();
        const rows = [...document.querySelectorAll("#detail tbody tr")];
        return {
          title: document.getElementById("detail-title").textContent,
          models: rows.map((row) => row.cells[0].textContent),
          tiles: rows.map((row) => row.querySelectorAll(".tile").length),
          numbers: [...rows[0].querySelectorAll(".number")].map((cell) => cell.textContent),
          annotators: document.querySelectorAll("#detail-annotators .tile").length,
          photo: document.getElementById("detail-image").naturalWidth,
          inside: box.left >= 0 && box.top >= 0 && box.right <= innerWidth && box.bottom <= innerHeight,
          cut: ["detail", "detail .models"].map((part) => document.querySelector(`#${part}`)).map(
            (part) => part.scrollWidth - part.clientWidth),
        }
        """
    )
    assert shown["title"] == first and shown["inside"] and shown["cut"] == [0, 0]
    assert shown["models"] == ["U-Net", "MC-dropout"]
    # A U-Net has one mask.
    assert shown["tiles"] == [2 + 1, 2 + 4] and shown["annotators"] == 4 and shown["photo"] == 32
    expected = scores.loc[first, ["ged_u", "dice", "cross_entropy", "u_mean_entropy", "u_pairwise"]]
    for text, value in zip(shown["numbers"], expected, strict=True):
        assert text == "–" if pd.isna(value) else float(text) == pytest.approx(value, abs=1e-3)
    browser.run("document.getElementById('detail-next').click()")
    assert browser.run("return document.getElementById('detail-title').textContent") == second


def test_nothing_is_printed_and_nothing_is_loaded(browser: Chromium, page: Path) -> None:
    """By this test and those before it in the same browser."""
    browser.open(page, *WINDOWS[0])
    assert browser.printed() == []
    assert set(browser.requested()) == {page.as_uri()}
