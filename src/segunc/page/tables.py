"""Tables of results that the reader can sort and filter: DataTables, which itables brings along."""

from pathlib import Path
from typing import NamedTuple

import pandas as pd
from itables import JavascriptCode, JavascriptFunction, options, to_html_datatable
from itables.javascript import generate_init_offline_itables_html

from segunc.data.result_csv import open_csv

MOST = 2000
"""Rows that are shown. The file has all of them."""
NUMBER = JavascriptFunction(
    """function (value, type) {
        if (type !== "display") return value;
        if (Number.isNaN(value)) return "–";
        return Math.abs(value) >= 1000 ? value.toFixed(0) : String(Number(value.toPrecision(4)));
    }"""
)
"""How a number is shown: with four significant digits, or as `–` where it is undefined."""


def _sorted(name: str, shown: str) -> JavascriptCode:
    """The name of a type of columns that sort undefined values last, in both directions.

    It is defined when a table is built: DataTables is there by then, under the name that itables gives to jQuery.
    shown: the class of its cells, in CSS.
    """
    return JavascriptCode(
        f"""(() => {{
            const undefined_ = (value) => value === "" || Number.isNaN(value);
            const by = (sign) => (a, b) => undefined_(a) - undefined_(b) || sign * ((a > b) - (a < b));
            const pre = (value) => typeof value === "string" ? value.toLowerCase() : value;
            const order = {{ pre, asc: by(1), desc: by(-1) }};
            $.fn.dataTable.type("{name}", {{ className: "{shown}", order }});
            return "{name}";
        }})()"""
    )


class Table(NamedTuple):
    """A table as HTML."""

    html: str
    rows: int
    """Of the file."""
    shown: int
    """Of the page."""
    columns: int


def library() -> str:
    """DataTables itself, as HTML that must be in the page before the first table."""
    return generate_init_offline_itables_html(options.dt_bundle)


def read(path: Path, identifier: str) -> Table:
    """A table with fields that sort and filter it.

    Parameters
    ----------
    path
        CSV file that a stage wrote.
    identifier
        Its id in the page.

    Raises
    ------
    UserError
        If the file is missing or damaged.
    """
    with open_csv(path) as file:
        # An id may be `true` or `NA`, and an empty field is an undefined value.
        table = pd.read_csv(file, keep_default_na=False, na_values=[""], dtype=_types(path))
    # The name of a column may break behind each of its words.
    head = table.head(MOST).rename(columns=lambda name: name.replace("_", "_\u200b"))
    numbers = [i for i, kind in enumerate(head.dtypes) if kind.kind == "f"]
    texts = [i for i, kind in enumerate(head.dtypes) if kind.kind == "O"]
    head = head.fillna({head.columns[i]: "" for i in texts})
    html = to_html_datatable(
        head,
        table_id=identifier,
        connected=False,
        display_logo_when_loading=False,
        column_filters="footer",
        text_in_header_can_be_selected=False,
        showIndex=False,
        maxBytes=0,
        maxColumns=0,
        classes="display compact",
        columnDefs=[
            {"targets": numbers, "render": NUMBER, "type": _sorted("number", "dt-type-numeric")},
            {"targets": texts, "type": _sorted("text", "")},
        ],
        # Other than the default, which itables drops where all rows fit on one page.
        layout={"topStart": "search", "topEnd": "pageLength", "bottomStart": "info", "bottomEnd": "paging"},
        lengthMenu=[10, 25, 100, MOST],
        order=[],
    )
    return Table(html, len(table), len(head), len(table.columns))


TEXTS = ("dataset", "model", "strategy", "strategy_a", "strategy_b", "model_a", "model_b")
"""Columns of ids."""


def _types(path: Path) -> dict[str, str]:
    return dict.fromkeys(TEXTS, "str")
