"""Stage `train`: trains one network on a dataset; keeps the last weights, or the best if training may stop early."""

import csv
import json
from functools import partial
from pathlib import Path

from segunc.data.store import read_split
from segunc.learning import checkpoint
from segunc.learning.device import select_device
from segunc.learning.training import train
from segunc.learning.weights import write_weights
from segunc.runtime.errors import UserError
from segunc.runtime.files import write_atomically
from segunc.runtime.stage import Job, stage


@stage
def main(
    job: Job,
    *,
    data: Path,  # the dataset's store
    name: str,  # name of this run in progress lines
    device: str,  # auto, cpu or cuda
    threads: int,  # CPU cores
    weights: Path,  # weights.pt to write
    history: Path,  # CSV to write: one row per validation
    checkpoints: Path | None = None,  # folder of this run alone; without it, no checkpoints are written
) -> None:
    of_device = select_device(device, threads)
    splits = {split: read_split(data, split, job.spec["seed"]) for split in ("train", "val")}
    for split, images in splits.items():
        if len(images.images) == 0:
            raise UserError(f"{data} has no images in its {split} split; change the dataset's split in the config.")
    trained, rows = train(
        job.spec, splits["train"], splits["val"], of_device, f"train {name}", checkpoints, json.dumps(job.code)
    )
    with write_atomically(history) as path, path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(rows[0])
        writer.writerows([f"{v:.6g}" if isinstance(v, float) else v for v in row.values()] for row in rows)
    write_weights(weights, trained)
    if checkpoints is not None:
        job.afterwards.append(partial(checkpoint.remove, checkpoints))


if __name__ == "__main__":
    main()
