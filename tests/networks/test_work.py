"""Work of networks: by hand for a small U-Net, and what happens if a model does not state its own."""

import subprocess
import sys

import pytest

from segunc.networks import work
from segunc.networks.shape import Backbone
from segunc.networks.work import Work, parts_of, work_of
from segunc.runtime.errors import UserError

SMALL = Backbone([8, 16], 3, "batch")


def test_parts_of_a_small_network_by_hand() -> None:
    parts = parts_of(SMALL, channels=2, size=64)
    fine, coarse = 64**2, 32**2
    # Three 3x3 convolutions per block: two channels to 8, 8 to 16, and the upsampled 16 and the skipped 8 to 8.
    first = Work(fine * 9 * (2 * 8 + 2 * 8 * 8), fine * 3 * 8, 9 * (2 * 8 + 2 * 8 * 8))
    second = Work(coarse * 9 * (8 * 16 + 2 * 16 * 16), coarse * 3 * 16, 9 * (8 * 16 + 2 * 16 * 16))
    up = Work(fine * 9 * (24 * 8 + 2 * 8 * 8), fine * 3 * 8, 9 * (24 * 8 + 2 * 8 * 8))
    assert parts == {
        "unet": first + second + up,
        "encoder": first + second,
        "shallow": first,
        "deep": second + up,
        "pointwise": Work(fine * 8 * 8, fine * 8, 8 * 8),
        # Two levels of 8 channels, as the backbone has two and its finest has 8; the input has these 8 and two more.
        "flow": parts_of(Backbone([8, 8], 3, "batch"), channels=8 + 2, size=64)["unet"],
    }
    # A wider and deeper backbone has a flow of 16 channels on three levels.
    wide = parts_of(Backbone([32, 64, 128, 192], 3, "batch"), channels=2, size=64)
    assert wide["flow"] == parts_of(Backbone([16, 16, 16], 3, "batch"), channels=32 + 2, size=64)["unet"]


def test_work_grows_with_the_image_and_weights_do_not() -> None:
    small, large = (work_of("prob_unet", {}, SMALL, 1, size).training for size in (64, 128))
    assert (large.multiply_adds, large.values, large.weights) == (
        4 * small.multiply_adds,
        4 * small.values,
        small.weights,
    )


def test_a_count_may_be_an_option() -> None:
    two, four = (work_of("ensemble", {"members": n}, SMALL, 1, 64) for n in (2, 4))
    assert four.training == two.training * 2 == two.unet * 4


@pytest.mark.parametrize(
    ("stated", "fault"),
    [
        (None, "models/unet.py has no constant WORK"),
        ({"training": {"unet": 1}, "image": {"unet": 1}}, "'sample'"),
        ({"training": {"unets": 1}, "image": {}, "sample": {}}, "'unets'"),
        ({"training": {"unet": "members"}, "image": {}, "sample": {}}, "'members'"),
        ({"training": 1, "image": {}, "sample": {}}, "int"),
    ],
)
def test_a_model_without_usable_work_is_one_sentence(
    stated: object, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def constant_of(*_: str) -> object:
        if stated is None:
            raise LookupError("models/unet.py has no constant WORK")
        return stated

    monkeypatch.setattr(work, "constant_of", constant_of)
    with pytest.raises(UserError, match=r"models/unet\.py does not state its work .*add a constant WORK") as error:
        work_of("unet", {}, SMALL, 1, 64)
    assert fault in str(error.value)


def test_no_torch_and_no_numpy() -> None:
    """The Snakefile is parsed for every job on a cluster."""
    program = (
        "import sys; from segunc.workflow import scheduler_resources; from segunc.networks import work; "
        "assert not {'torch', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
