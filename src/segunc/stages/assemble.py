"""Stage `assemble`: the report, one HTML page that loads nothing from anywhere."""

import base64
import os
from pathlib import Path

from segunc.page import browser, facts, render, text
from segunc.page import tables as of_page
from segunc.page.specs import PageSpec, Shown
from segunc.runtime.files import write_atomically
from segunc.runtime.reading import reading
from segunc.runtime.stage import Job, stage


def _bytes(path: Path) -> bytes:
    with reading(path):
        return path.read_bytes()


def _markdown(path: Path | None) -> str:
    return _bytes(path).decode("utf-8") if path else ""


def _beside(page: Path, path: Path) -> str:
    """The path of a file from the folder of the page."""
    return Path(os.path.relpath(path, page.parent)).as_posix()


def _figure(shown: Shown, png: Path, page: Path) -> render.FigureView:
    caption = text.caption(shown["caption"], shown["wildcards"])
    picture = base64.b64encode(_bytes(png)).decode()
    pdf = _beside(page, png.with_suffix(".pdf"))
    return render.FigureView(shown["name"], shown["title"], shown["section"], caption, picture, pdf)


def _table(shown: Shown, csv: Path, page: Path) -> render.TableView:
    caption = text.caption(shown["caption"], shown["wildcards"])
    return render.TableView(shown["name"], caption, of_page.read(csv, f"rows-{shown['name']}"), _beside(page, csv))


def _tested(spec: PageSpec, data: list[Path], samples: list[Path], scores: list[Path]) -> list[render.TestedView]:
    views, first = [], 0
    for of_dataset, store in zip(spec["tested"], data, strict=True):
        labels = [spec["labels"][model] for model in of_dataset["models"]]
        own = slice(first, first := first + len(labels))
        tested = browser.read(store, samples[own], scores[own], spec["seed"])
        views.append(render.TestedView(of_dataset["label"], labels, tested))
        print(f"{of_dataset['label']}: {len(views[-1].tested.data['images']['id'])} test images", flush=True)
    return views


@stage
def main(
    job: Job,
    *,
    answer: Path | None = None,  # Markdown: what the run says
    claims: Path | None = None,  # Markdown: the claims and their verdicts
    figures: list[Path],  # PNG files, in the order of the page
    tables: list[Path],  # CSV files, in the order of the page
    data: list[Path],  # store of each dataset whose test images are shown
    samples: list[Path],  # samples of each dataset's models
    scores: list[Path],  # images.csv of the same
    records: Path,  # folder of all records
    html: Path,  # file to write
) -> None:
    spec: PageSpec = job.spec
    said, further = text.parts(_markdown(answer))
    verdicts, claim_by_claim = text.parts(_markdown(claims))
    found = facts.behind(records, job.identities)
    page = render.Page(
        answer=said,
        further=further,
        claims=verdicts,
        claim_by_claim=claim_by_claim,
        tested=_tested(spec, data, samples, scores),
        scores=browser.SCORES,
        outcomes=browser.OUTCOMES,
        figures=[_figure(shown, png, html) for shown, png in zip(spec["figures"], figures, strict=True)],
        tables=[_table(shown, csv, html) for shown, csv in zip(spec["tables"], tables, strict=True)],
        library=of_page.library(),
        missing=[(absent["what"], absent["why"]) for absent in spec["missing"]],
        config=spec["config"],
        seed=spec["seed"],
        versions=facts.versions(found),
        commit=facts.commit(),
        machine=facts.machine(),
        steps=facts.steps(found),
        first=found[0].finished if found else "",
        last=found[-1].finished if found else "",
    )
    with write_atomically(html) as path:
        path.write_text(render.render(page), encoding="utf-8")


if __name__ == "__main__":
    main()
