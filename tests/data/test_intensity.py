import numpy as np
import pytest

from segunc.data.intensity import to_bytes


@pytest.mark.parametrize(
    ("values", "intensity", "expected"),
    [
        ([-1000, -325, 350, 1025, 1700], (-1000, 1700), [0, 64, 128, 191, 255]),  # 63.75, 127.5, 191.25
        ([-3000, 5000], (-1000, 1700), [0, 255]),
        ([0, 1, 255], (0, 255), [0, 1, 255]),
        ([0.0, 0.5, 1.0], (0, 1), [0, 128, 255]),
        ([7, 9, 11], "minmax", [0, 128, 255]),
        ([5, 5, 5], "minmax", [0, 0, 0]),
        ([True, False], "minmax", [255, 0]),
    ],
)
def test_analytic(values, intensity, expected):
    found = to_bytes(np.array(values), intensity)
    assert found.dtype == np.uint8
    assert found.tolist() == expected


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.int64, np.float16, np.float32, np.float64])
def test_every_value_becomes_the_nearest_of_256_levels(dtype):
    values = np.linspace(0, 250, 1001).astype(dtype)
    found = to_bytes(values, (10.0, 200.0))
    exact = 255 * (np.clip(values.astype(float), 10, 200) - 10) / 190
    assert (np.abs(found - exact) <= 0.5 + 1e-9).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_refused(bad):
    for intensity in ("minmax", (0.0, 1.0)):
        with pytest.raises(ValueError, match="not all values are finite numbers"):
            to_bytes(np.array([0.5, bad, 0.1]), intensity)
    with pytest.raises(ValueError, match="not all values are finite numbers"):
        to_bytes(np.array([-1e308, 1e308]), "minmax")
