"""Stage `evaluate`: scores the samples of one trained model against the annotations. It never runs a network."""

from collections.abc import Iterator
from pathlib import Path

from segunc.data.store import read_split
from segunc.evaluation.predictions import read_predictions
from segunc.evaluation.scores import Scored, score_image, write
from segunc.runtime.stage import stage, stage_parser


def evaluate(data: Path, samples: Path, dataset: str, model: str, seed: int) -> Iterator[Scored]:
    """Scores every test image; data and samples are HDF5 files of the stages `prepare` and `sample`.

    Raises UserError if they do not hold the same test images.
    """
    test = read_split(data, "test")
    for i, prediction in enumerate(read_predictions(samples, test.image_id)):
        yield score_image(dataset, model, seed, test, i, prediction)


@stage
def main() -> None:
    parser = stage_parser(__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--samples", type=Path, required=True)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--images", type=Path, required=True, help="CSV to write: one row per test image")
    parser.add_argument("--pixels", type=Path, required=True, help="CSV to write, gzipped: histograms of entropy")
    args = parser.parse_args()
    write(args.images, args.pixels, evaluate(args.data, args.samples, args.dataset, args.model, args.seed))


if __name__ == "__main__":
    main()
