"""Stage `answer`: what the run says, for reading: `answer.md`, `summary.md` and `summary.tex`."""

from pathlib import Path

import pandas as pd

from segunc.claims.answer import AnswerSpec, Tables, answer
from segunc.data.result_table import read_table
from segunc.evaluation.headline import headline
from segunc.evaluation.summary_latex import summary_latex
from segunc.evaluation.summary_markdown import summary_markdown
from segunc.runtime.files import write_atomically
from segunc.runtime.stage import Job, stage


@stage
def main(
    job: Job,
    *,
    claims: Path,  # verdicts on the claims
    summary: Path,  # means of all metrics
    comparisons: Path,  # differences between models
    failures: Path,  # how well uncertainty finds bad masks
    empty: Path,  # how often models predict nothing
    missing: Path,  # scores of the main grid that are missing
    rounds: list[Path],  # scores of active learning that are missing, one table or none
    answered: Path,  # Markdown file to write: the answer
    markdown: Path,  # file to write: the summary for reading
    latex: Path,  # file to write: the headline metrics for a paper
) -> None:
    spec: AnswerSpec = job.spec
    table, lost = read_table(summary), read_table(missing)
    of_rounds = pd.concat([pd.DataFrame(columns=["dataset"]), *map(read_table, rounds)])
    text = answer(Tables(read_table(claims), table, read_table(empty), lost, of_rounds), spec)
    heads = headline(table, read_table(comparisons), read_table(failures), spec["models"], spec["unet"])
    written = {
        answered: text,
        markdown: text + "\n" + summary_markdown(table, lost, heads, spec["datasets"], spec["models"]),
        latex: summary_latex(heads, spec["datasets"]),
    }
    for path, content in written.items():
        with write_atomically(path) as partial:
            partial.write_text(content, encoding="utf-8")


if __name__ == "__main__":
    main()
