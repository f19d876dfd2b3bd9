"""Stage `active_train`: one network on the labelled images alone, for a fixed number of gradient steps.

Nothing is validated, as nobody who can afford few labels has labels to spare, and the last weights are kept. All
rounds and strategies of a seed begin with the same initial weights, but for the output bias, which is the foreground's.
"""

import json
from pathlib import Path

import numpy as np
import torch

from segunc.learning import checkpoint
from segunc.active import labelled_set as labelled
from segunc.runtime import records as provenance
from segunc.data.store import read_split, take
from segunc.runtime.errors import UserError
from segunc.runtime.files import write_atomically
from segunc.learning.device import use
from segunc.runtime.stage import stage, stage_parser
from segunc.learning.training import train


@stage
def main() -> None:
    parser = stage_parser(__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--labelled", type=Path, required=True)
    parser.add_argument("--name", required=True, help="what to call this training on the terminal")
    parser.add_argument("--device", required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--checkpoints", type=Path, help="folder of this training alone; none: no checkpoints")
    args = parser.parse_args()
    # As it was when this program started: the workflow may have begun before an edit.
    code = json.dumps(provenance.code_of(args.code))

    device = use(args.device, args.threads)
    images = read_split(args.data, "train")
    positions, _ = labelled.read(args.labelled, images.image_id)
    # In the order of the store, so that only which images are labelled decides, not who was picked first.
    images, what = take(images, np.sort(positions)), f"train {args.name}"
    weights, _ = train(args.spec, images, None, device, what, args.checkpoints, code)
    if not all(value.isfinite().all() for value in weights["state"].values()):
        raise UserError(f"{what}: the weights are no numbers any more; lower learning_rate or set gradient_clip.")
    # Given a path, torch writes its name, which holds the process id, into the file.
    with write_atomically(args.weights) as path, path.open("wb") as file:
        torch.save(weights, file)
    if args.checkpoints is not None:
        checkpoint.remove(args.checkpoints)


if __name__ == "__main__":
    main()
