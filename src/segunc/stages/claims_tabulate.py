"""Stage `claims_tabulate`: the claims of the study with their verdicts, and its published numbers beside ours."""

from pathlib import Path

from segunc.claims.comparison import comparison
from segunc.claims.markdown import claims_markdown
from segunc.claims.study import ClaimsSpec, studies
from segunc.claims.table import claims as tabulated
from segunc.runtime.files import write_atomically
from segunc.runtime.stage import Job, stage


@stage
def main(
    job: Job,
    *,
    images: list[Path],  # scores of all models
    rounds: list[Path],  # scores of all rounds of active learning
    picks: list[Path],  # what active learning picked, one table or none
    claims: Path,  # CSV file to write
    markdown: Path,  # file to write: the claims for reading
    published: Path,  # CSV file to write: published numbers beside ours
) -> None:
    spec: ClaimsSpec = job.spec
    by_dataset = studies(spec, images, rounds, picks)
    table = tabulated(by_dataset)
    for file, content in ((claims, table), (published, comparison(by_dataset))):
        with write_atomically(file) as path:
            content.to_csv(path, index=False, float_format="%.9g", lineterminator="\n")
    with write_atomically(markdown) as path:
        path.write_text(claims_markdown(table), encoding="utf-8")


if __name__ == "__main__":
    main()
