"""`summary.tex`: the headline metrics as a table for a paper (package booktabs)."""

from collections.abc import Mapping

from segunc.evaluation.headline import Headline

ESCAPED = {character: f"\\{character}" for character in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "²": r"$^2$",
    "−": r"$-$",
    "–": "--",
}


def summary_latex(heads: Mapping[str, Headline], datasets: Mapping[str, str]) -> str:
    """A `tabular` per dataset of its headline table; `datasets` are labels by id.

    Bold is the mean of a model that differs from each other model (Holm's method, 5 %).
    """
    lines = [r"% \usepackage{booktabs}"]
    for dataset, head in heads.items():
        lines += ["", f"% {datasets.get(dataset, dataset)}", rf"\begin{{tabular}}{{l{'r' * len(head.columns)}}}"]
        lines += [r"\toprule", _line(["", *map(escaped, head.columns)]), r"\midrule"]
        for model, values in head.rows.items():
            cells = [_cell(value, head.best.get(i) == model) for i, value in enumerate(values)]
            lines.append(_line([escaped(model), *cells]))
        lines += [r"\bottomrule", r"\end{tabular}"]
    return "\n".join(lines) + "\n"


def escaped(text: str) -> str:
    """Text for LaTeX.

    >>> escaped("GED² ↓ of R&D_1")
    'GED$^2$ $\\\\downarrow$ of R\\\\&D\\\\_1'
    """
    return "".join(ESCAPED.get(character, character) for character in text)


def _cell(value: str, best: bool) -> str:
    mean, _, interval = escaped(value).partition(" ")
    mean = mean.replace("-", "$-$", 1) if mean.startswith("-") and mean != "--" else mean
    return " ".join(filter(None, [rf"\textbf{{{mean}}}" if best else mean, interval]))


def _line(cells: list[str]) -> str:
    return " & ".join(cells) + r" \\"
