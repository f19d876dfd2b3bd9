"""Stage `tabulate`: every table of the main grid, from the scores of all models and the stores of all datasets."""

from pathlib import Path

from segunc.evaluation import pooled_tables as pooled
from segunc.evaluation import tables as of_grid
from segunc.metrics.uncertainty import AGREEMENTS, OUTCOMES
from segunc.runtime.files import write_atomically
from segunc.runtime.stage import Job, stage


@stage
def main(
    job: Job,
    *,
    data: list[Path],  # stores, in the order of the tables
    images: list[Path],  # scores of models and baselines, in the order of the tables
    levels: list[Path],  # scores of the models' level sets
    pixels: list[Path],  # histograms of the same
    calibration: list[Path],  # bins of probability of the same
    tables: list[Path],  # CSV files to write, named after their tables
) -> None:
    spec: of_grid.TabulateSpec = job.spec
    confidence = spec["statistics"]["confidence"]
    missing = of_grid.missing_scores(spec["missing"])
    found = of_grid.read_cells([*images, *levels], spec["datasets"])
    every = of_grid.with_empty_cells(found, missing, spec["datasets"], spec["models"])
    scored = of_grid.without_levels(every)
    bins = pooled.read_bins(calibration)
    contents = {
        "summary": of_grid.summary(every, confidence),
        "uncertainty_by_outcome": of_grid.uncertainty_by("outcome", OUTCOMES, scored, confidence),
        "uncertainty_by_agreement": of_grid.uncertainty_by("agreement", AGREEMENTS, scored, confidence),
        "entropy_histograms": of_grid.entropy_histograms(pixels, scored),
        "ged_by_votes": of_grid.ged_by_votes(every, confidence),
        "comparisons": of_grid.comparisons(every, confidence, spec["unet"]),
        "failure_detection": pooled.failure_detection(scored, confidence),
        "risk_coverage": pooled.risk_coverage_curves(scored),
        "calibration": pooled.calibration(bins, scored, confidence),
        "reliability": pooled.reliability(bins, scored),
        "exclusions": of_grid.exclusions(data, every),
        "empty_masks": of_grid.empty_masks(scored),
        "images_wide": of_grid.images_wide(scored),
        "missing": missing,
    }
    for table in tables:
        with write_atomically(table) as path:
            contents[table.stem].to_csv(path, index=False, float_format="%.9g", lineterminator="\n")


if __name__ == "__main__":
    main()
