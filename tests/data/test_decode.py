import io
import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image

from segunc.data import decode
from segunc.runtime.errors import UserError

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (5, 7), np.uint8)
RGB = RNG.integers(0, 256, (5, 7, 3), np.uint8)
DEEP = RNG.integers(0, 65536, (5, 7), np.uint16)
MASK = (GREY > 128).astype(np.uint8)
"""All 5 rows of 7 columns."""


def encoded(pixels, kind: str = "PNG", mode: str | None = None, **options) -> bytes:
    picture = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    buffer = io.BytesIO()
    (picture.convert(mode) if mode else picture).save(buffer, kind, **options)
    return buffer.getvalue()


def npy(values, **options) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, values, **options)
    return buffer.getvalue()


def png(width: int, height: int, depth: int, colour_type: int, rows: bytes, **chunks: bytes) -> bytes:
    """A PNG as Pillow cannot write it; `chunks` come before the pixels."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    more = [chunk(name.encode(), data) for name, data in chunks.items()]
    parts = [chunk(b"IHDR", header), *more, chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def packed(values: np.ndarray, bits: int) -> bytes:
    """Rows of values of less than a byte, or of bytes."""
    split = np.unpackbits(values.astype(np.uint8)[..., None], axis=-1)[..., 8 - bits :]
    return np.packbits(split.reshape(len(values), -1), axis=1).tobytes()


def tiff(pixels: bytes, bits: int, photometric: int | None = 1, sample_format: int = 1, colours=()) -> bytes:
    """A TIFF of 7x5 pixels, of any depth and with any tags; `photometric` None leaves the tag out."""
    tags = {256: 7, 257: 5, 258: bits, 259: 1, 262: photometric, 273: 0, 277: 1, 278: 5, 279: len(pixels)}
    tags |= {320: colours, 339: sample_format}
    kept = {tag: value for tag, value in tags.items() if value not in (None, ())}
    after = 8 + 2 + 12 * len(kept) + 4
    table = struct.pack("<2sHIH", b"II", 42, 8, len(kept))
    for tag, value in kept.items():
        if tag == 320:
            table += struct.pack("<HHII", tag, 3, len(colours), after)
        else:
            table += struct.pack("<HHII", tag, 4, 1, after + 2 * len(colours) if tag == 273 else value)
    return table + bytes(4) + struct.pack(f"<{len(colours)}H", *colours) + pixels


def bmp(values: np.ndarray, bits: int, palette) -> bytes:
    """A BMP with a palette of (red, green, blue) or greys."""
    rows = [packed(row[None], bits) for row in values[::-1]]
    pixels = b"".join(row + bytes(-len(row) % 4) for row in rows)
    colours = b"".join(bytes([*(entry[::-1] if isinstance(entry, tuple) else [entry] * 3), 0]) for entry in palette)
    start = 54 + len(colours)
    size, whole, used = values.shape[::-1], start + len(pixels), len(palette)
    header = struct.pack("<2sIIIIiiHHIIIIII", b"BM", whole, 0, start, 40, *size, 1, bits, 0, 0, 0, 0, used, 0)
    return header + colours + pixels


def with_palette(kind: str, bits: int, palette, indices: np.ndarray) -> bytes:
    """A PNG, TIFF or BMP with a palette of (red, green, blue) or greys."""
    colours = [entry if isinstance(entry, tuple) else (entry,) * 3 for entry in palette]
    if kind == "PNG":
        rows = b"".join(b"\0" + packed(row[None], bits) for row in indices)
        return png(7, 5, bits, 3, rows, PLTE=bytes(np.ravel(colours).tolist()))
    if kind == "TIFF":
        table = np.zeros((3, 2**bits), int)
        table[:, : len(colours)] = 257 * np.transpose(colours)
        return tiff(packed(indices, bits), bits, 3, colours=table.ravel().tolist())
    return bmp(indices, bits, palette)


def turned(orientation: int, kind: str) -> bytes:
    exif = Image.Exif()
    exif[decode.ORIENTATION] = orientation
    return encoded(RGB, kind, exif=exif)


def with_alpha(alpha, mode: str = "RGBA") -> bytes:
    picture = Image.fromarray(RGB if mode == "RGBA" else GREY)
    picture.putalpha(Image.fromarray(np.asarray(alpha, np.uint8)))
    assert picture.mode == mode
    return encoded(picture)


OPAQUE = np.full((5, 7), 255)
HOLE = np.where(np.arange(7) == 3, 254, 255) * np.ones((5, 1), int)


class TestImage:
    @pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP"])
    @pytest.mark.parametrize(("pixels", "channels"), [(GREY, 1), (RGB, 3)])
    def test_eight_bits_as_they_are(self, kind, pixels, channels):
        found = decode.image(encoded(pixels, kind), "x", channels)
        assert found.dtype == np.uint8 and found.shape == (channels, 5, 7) and found.flags.c_contiguous
        np.testing.assert_array_equal(found, pixels[None] if channels == 1 else pixels.transpose(2, 0, 1))

    def test_grey_becomes_rgb_and_rgb_without_colours_grey(self):
        np.testing.assert_array_equal(decode.image(encoded(GREY), "x", 3), np.stack([GREY] * 3))
        np.testing.assert_array_equal(decode.image(encoded(np.stack([GREY] * 3, -1)), "x", 1), GREY[None])
        palette = Image.fromarray(GREY).convert("P")
        np.testing.assert_array_equal(decode.image(encoded(palette), "x", 1), GREY[None])

    def test_a_palette_becomes_its_colours(self):
        picture = Image.fromarray(RGB).quantize(8)
        expected = np.array(picture.convert("RGB")).transpose(2, 0, 1)
        np.testing.assert_array_equal(decode.image(encoded(picture), "x", 3), expected)

    @pytest.mark.parametrize("values", [DEEP, DEEP.astype(np.int32) - 1000, DEEP.astype(np.float32) / 7])
    @pytest.mark.parametrize("kind", ["PNG", "TIFF", "npy"])
    def test_other_numbers_need_a_range(self, values, kind):
        if kind == "PNG" and values.dtype != np.uint16:
            pytest.skip("PNG has no such numbers")
        data, name = (npy(values), "x.npy") if kind == "npy" else (encoded(values, kind), "x")
        with pytest.raises(UserError, match=r"8-bit grey \(L\) is needed; convert it, or set the option intensity"):
            decode.image(data, name, 1)
        low, high = 500.0, 60000.0
        expected = np.floor(255 * (np.clip(values.astype(float), low, high) - low) / (high - low) + 0.5)
        np.testing.assert_array_equal(decode.image(data, name, 1, (low, high))[0], expected)
        stretched = decode.image(data, name, 3, "minmax")
        assert stretched.shape == (3, 5, 7) and stretched.min() == 0 and stretched.max() == 255

    def test_a_range_holds_for_eight_bits_too(self):
        np.testing.assert_array_equal(decode.image(encoded(GREY), "x", 1, (0, 255))[0], GREY)
        assert decode.image(encoded(GREY // 4), "x", 1, "minmax").max() == 255

    @pytest.mark.parametrize(
        ("shape", "channels"),
        [((5, 7), 1), ((5, 7, 1), 1), ((1, 5, 7), 1), ((5, 7, 3), 3), ((3, 5, 7), 3), ((3, 5, 3), 3), ((3, 3, 3), 3)],
    )
    def test_shapes_of_arrays(self, shape, channels):
        values = RNG.integers(0, 256, shape, np.uint8)
        last = values[..., None] if len(shape) == 2 else values
        expected = values if shape[0] == channels and shape[-1] != channels else last.transpose(2, 0, 1)
        np.testing.assert_array_equal(decode.image(npy(values), "a.NPY", channels), expected)
        np.testing.assert_array_equal(decode.image(npy(np.asfortranarray(values)), "a.npy", channels), expected)

    def test_opaque_alpha_is_dropped(self):
        np.testing.assert_array_equal(decode.image(with_alpha(OPAQUE), "x", 3), RGB.transpose(2, 0, 1))
        np.testing.assert_array_equal(decode.image(with_alpha(OPAQUE, "LA"), "x", 1), GREY[None])

    def test_only_the_first_picture_of_a_phone_counts(self):
        data = encoded(RGB, "MPO", save_all=True, append_images=[Image.fromarray(RGB[::-1].copy())], quality=95)
        expected = np.array(Image.open(io.BytesIO(data)))
        np.testing.assert_array_equal(decode.image(data, "x.jpg", 3), expected.transpose(2, 0, 1))

    def test_upright_and_meaningless_orientations_are_taken(self):
        for orientation in (1, 0, 9):
            assert decode.image(turned(orientation, "JPEG"), "x", 3).shape == (3, 5, 7)


REFUSED = [
    pytest.param(b"", "x.png cannot be read as an image (not a PNG, JPEG, TIFF or BMP); replace it.", id="empty"),
    pytest.param(b"GIF89a", "x.png cannot be read as an image (not a PNG, JPEG, TIFF or BMP); replace it.", id="GIF"),
    pytest.param(
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 5 5\n",
        "x.png cannot be read as an image (not a PNG, JPEG, TIFF or BMP); replace it.",
        id="PostScript, which Pillow would run",
    ),
    pytest.param(
        encoded(RGB, "JPEG")[:-30], "x.png cannot be read as an image (image file is truncated", id="cut JPEG"
    ),
    pytest.param(encoded(RGB)[:60], "x.png cannot be read as an image (", id="cut PNG"),
    pytest.param(
        encoded(RGB, "JPEG", "CMYK"),
        "x.png has the colour mode CMYK, but ",
        id="CMYK",
    ),
    pytest.param(encoded(RGB, "TIFF", "LAB"), "x.png has the colour mode LAB, but ", id="LAB"),
    pytest.param(
        with_alpha(HOLE),
        "x.png has transparent pixels, which may or may not count; save it without transparency.",
        id="alpha",
    ),
    pytest.param(with_alpha(HOLE, "LA"), "x.png has transparent pixels", id="grey with alpha"),
    pytest.param(encoded(GREY, "PNG", "P", transparency=int(GREY[0, 0])), "x.png has transparent pixels", id="palette"),
    pytest.param(
        png(2, 2, 16, 2, 2 * (b"\0" + RNG.bytes(12))),
        "x.png has several 16-bit channels, but colour images need 8 bits; convert it.",
        id="16-bit RGB PNG",
    ),
    pytest.param(png(2, 2, 16, 6, 2 * (b"\0" + RNG.bytes(16))), "x.png has several 16-bit channels", id="RGBA"),
    pytest.param(png(2, 2, 16, 4, 2 * (b"\0" + RNG.bytes(8))), "x.png has several 16-bit channels", id="LA"),
    pytest.param(
        encoded(GREY, "TIFF", save_all=True, append_images=[Image.fromarray(GREY)] * 2),
        "x.png has 3 pages, but one is needed; save each as a file of its own.",
        id="multi-page TIFF",
    ),
    pytest.param(
        encoded(GREY, "PNG", save_all=True, append_images=[Image.fromarray(255 - GREY)]),
        "x.png has 2 pages",
        id="animated PNG",
    ),
    pytest.param(
        png(8193, 8193, 1, 0, b""),
        "x.png is too large (8193x8193 pixels; at most 67108864 are read); shrink it.",
        id="large",
    ),
    pytest.param(png(100_000, 100_000, 1, 0, b""), "x.png is too large (Image size (10000000000 pixels)", id="bomb"),
    *(
        pytest.param(
            turned(orientation, kind),
            f"x.png has EXIF orientation {orientation}, and its masks may be drawn either way; "
            "rotate it to match its masks and remove the tag.",
            id=f"{kind} turned {orientation}",
        )
        for kind in ("JPEG", "PNG", "TIFF")
        for orientation in (2, 3, 6, 8)
    ),
]


@pytest.mark.parametrize(("data", "sentence"), REFUSED)
def test_refused_as_image_and_as_mask(data, sentence):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for read in (lambda: decode.image(data, "x.png", 3, "minmax"), lambda: decode.mask(data, "x.png", (5, 7))):
            with pytest.raises(UserError) as error:
                read()
            assert str(error.value).startswith(sentence)
            assert "\n" not in str(error.value) and "0x" not in str(error.value) and ".;" not in str(error.value)


def sentences(value) -> str:
    """Ids of tests: bytes make none."""
    return value if isinstance(value, str) else "data"


def with_value(value) -> np.ndarray:
    values = np.zeros((5, 7))
    values[1, 2] = value
    return values


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "cannot be read as a NumPy array ("),
        (npy(DEEP)[:-3], "cannot be read as a NumPy array (EOF: reading array data, expected 70 bytes got 67"),
        (
            npy(np.array([{"a": 1}]), allow_pickle=True),
            "cannot be read as a NumPy array (Object arrays cannot be loaded",
        ),
        (npy(np.array([["a"]])), "has <U1 values, but integers or real numbers are needed"),
        (npy(np.ones((5, 7), complex)), "has complex128 values, but integers or real numbers are needed"),
        (npy(np.ones((5, 7), [("r", "u1")])), "has [('r', 'u1')] values"),
        (npy(np.ones(7)), "has the shape (7,), but must be (height, width), "),
        (npy(np.ones((5, 7, 2))), "has the shape (5, 7, 2), but must be "),
        (npy(np.ones((2, 5, 7, 3))), "has the shape (2, 5, 7, 3), but must be "),
        (npy(np.ones((0, 7))), "has the shape (0, 7), but must be "),
        (npy(with_value(np.nan)), "cannot be used, as not all values are finite numbers; replace them."),
        (npy(with_value(np.inf)), "cannot be used, as not all values are finite numbers; replace them."),
    ],
    ids=sentences,
)
def test_refused_arrays(data, sentence):
    with pytest.raises(UserError) as error:
        decode.image(data, "x.npy", 1, "minmax")
    assert str(error.value).startswith(f"x.npy {sentence}")
    assert "\n" not in str(error.value)


def test_a_pickle_is_not_run(tmp_path):
    class Touch:
        def __reduce__(self):
            return (tmp_path.joinpath("ran").touch, ())

    for data in (npy(np.array([Touch()]), allow_pickle=True), __import__("pickle").dumps(Touch())):
        with pytest.raises(UserError, match="cannot be read as a NumPy array"):
            decode.image(data, "x.npy", 1)
    assert not list(tmp_path.iterdir())


class TestMask:
    @pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP", "npy"])
    @pytest.mark.parametrize(
        "values",
        [MASK, 255 * MASK, np.stack([255 * MASK] * 3, -1), MASK.astype(bool)],
        ids=["01", "0255", "RGB", "bool"],
    )
    def test_two_values(self, kind, values):
        data, name = (npy(values), "m.npy") if kind == "npy" else (encoded(values, kind), "m")
        found = decode.mask(data, name, (5, 7))
        assert found.dtype == np.uint8
        np.testing.assert_array_equal(found, MASK)

    @pytest.mark.parametrize("top", [1, 255, 65535])
    def test_sixteen_bits(self, top):
        for kind in ("PNG", "TIFF"):
            np.testing.assert_array_equal(decode.mask(encoded(MASK * np.uint16(top), kind), "m", (5, 7)), MASK)

    def test_floats(self):
        np.testing.assert_array_equal(decode.mask(npy(MASK.astype(np.float32)), "m.npy", (5, 7)), MASK)
        np.testing.assert_array_equal(decode.mask(npy(MASK[None].astype(float)), "m.npy", (5, 7)), MASK)

    def test_uniform_masks(self):
        assert not decode.mask(encoded(np.zeros((5, 7), np.uint8)), "m", (5, 7)).any()
        assert decode.mask(encoded(np.full((5, 7), 255, np.uint8)), "m", (5, 7)).all()

    def test_palettes(self):
        picture = Image.fromarray(MASK, "P")
        colours = {
            "greys": ([0, 0, 0, 255, 255, 255], MASK),
            "labels of a label tool": ([0, 0, 0, 128, 0, 0], MASK),
            "coloured background": ([0, 0, 128, 0, 128, 0], MASK),
        }
        for what, (palette, expected) in colours.items():
            picture.putpalette(palette)
            np.testing.assert_array_equal(decode.mask(encoded(picture), "m", (5, 7)), expected, err_msg=what)

    def test_greys_of_a_palette_count_if_its_indices_are_no_mask(self):
        picture = Image.fromarray(4 * MASK + 3, "P")
        picture.putpalette([0] * 18 + [9] * 3 + [255] * 3)
        np.testing.assert_array_equal(decode.mask(encoded(picture), "m", (5, 7)), MASK)

    @pytest.mark.parametrize(
        ("data", "name", "sentence"),
        [
            (
                encoded(MASK + 1),
                "m",
                "m has the values 1, 2, but a mask has only 0 and 255 (or 0 and 1)",
            ),
            (encoded(np.array([[0, 128, 255]] * 5, np.uint8)), "m", "m is 3x5 pixels, but its image is 7x5; make them"),
            (encoded(np.resize(np.array([0, 128, 255], np.uint8), (5, 7))), "m", "m has the values 0, 128, 255, but "),
            (encoded(GREY), "m", "m has the values "),
            (encoded(255 * MASK, "JPEG", quality=60), "m.jpg", "m.jpg has the values "),
            (encoded(RGB), "m", "m has several channels, but a mask is one grey channel of 0 and 255; convert it."),
            (encoded(255 * MASK, "JPEG", "CMYK"), "m", "m has the colour mode CMYK, but a mask is grey with 0 and 255"),
            (npy(with_value(np.nan)), "m.npy", "m.npy has the values 0.0, nan, but a mask has only"),
            (npy(with_value(0.5)), "m.npy", "m.npy has the values 0.0, 0.5, but"),
            (npy(with_value(-1)), "m.npy", "m.npy has the values -1.0, 0.0, but"),
            (encoded(Image.new("1", (7, 4))), "m", "m is 7x4 pixels, but its image is 7x5"),
        ],
        ids=sentences,
    )
    def test_refused(self, data, name, sentence):
        with pytest.raises(UserError) as error:
            decode.mask(data, name, (5, 7))
        assert str(error.value).startswith(sentence)
        assert "\n" not in str(error.value)


def sentence_of(read) -> str:
    with pytest.raises(UserError) as error:
        read()
    assert "\n" not in str(error.value)
    return str(error.value)


OPPOSITE = (
    "x has a palette whose colours contradict its indices, as from white to black, so that programs read opposite"
)


class TestStoredAndShown:
    """Files of which some programs read what is stored, and some what is shown."""

    @pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP"])
    @pytest.mark.parametrize("bits", [1, 4, 8])
    def test_a_palette_from_white_to_black(self, kind, bits):
        top = 2**bits - 1
        data = with_palette(kind, bits, [255 - 255 * index // top for index in range(top + 1)], top * MASK)
        for read in (lambda: decode.mask(data, "x", (5, 7)), lambda: decode.image(data, "x", 1)):
            assert sentence_of(read).startswith(OPPOSITE)

    @pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP"])
    @pytest.mark.parametrize(
        ("palette", "indices"),
        [
            ((255, 0), MASK),
            ((200, 100), MASK),
            ((255, 0), 0 * MASK),
            ((255, 0), 0 * MASK + 1),
            ((9, 9), MASK),
            ((255, 255), MASK),
            ((0, 255, 0), 2 * MASK),
            ((255, (255, 0, 0)), MASK),
            (((255, 0, 0), 0), MASK),
            (((255, 255, 0), (0, 0, 128)), MASK),
            ((255,) + (0,) * 255, 255 * MASK),
        ],
    )
    def test_a_mask_that_its_palette_contradicts(self, kind, palette, indices):
        sentence = sentence_of(lambda: decode.mask(with_palette(kind, 8, palette, indices), "x", (5, 7)))
        assert sentence.startswith(OPPOSITE)

    @pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP"])
    @pytest.mark.parametrize(
        ("bits", "palette", "indices"),
        [
            (8, range(256), MASK),
            (8, range(256), 255 * MASK),
            (8, (0, *(7,) * 254, 255), 255 * MASK),
            (8, (0, 1, 255), 2 * MASK),
            (1, (0, 255), MASK),
            (4, (0, (128, 0, 0)), MASK),
            (8, (0, (128, 0, 0), 255), MASK),
            (8, ((120, 120, 120), (180, 120, 120)), MASK),
            (8, ((0, 0, 255), (255, 0, 0)), 0 * MASK),
            (8, (0, (128, 0, 0)), 0 * MASK + 1),
        ],
    )
    def test_a_mask_that_its_palette_confirms(self, kind, bits, palette, indices):
        found = decode.mask(with_palette(kind, bits, palette, indices), "x", (5, 7))
        np.testing.assert_array_equal(found, indices > 0)

    def test_images_of_few_greys_in_any_order(self):
        """As Pillow and compressors write them: the indices mean nothing."""
        for order in (list(range(16)), list(range(16))[::-1], list(RNG.permutation(16))):
            palette = [3 + 16 * int(grey) for grey in order]
            indices = RNG.integers(0, 16, (5, 7))
            found = decode.image(with_palette("PNG", 8, palette, indices), "x", 1)
            np.testing.assert_array_equal(found[0], np.array(palette)[indices])

    @pytest.mark.parametrize("photometric", [0, None])
    @pytest.mark.parametrize(
        ("bits", "sample_format"),
        [(1, 1), (2, 1), (4, 1), (8, 1), (16, 1), (16, 2), (32, 1), (32, 2), (32, 3), (64, 3)],
    )
    def test_a_tiff_in_which_0_may_be_white(self, bits, sample_format, photometric):
        kind = {1: f"u{bits // 8}", 2: f"i{bits // 8}", 3: f"f{bits // 8}"}[sample_format]
        pixels = packed(MASK, bits) if bits < 8 else MASK.astype(f"<{kind}").tobytes()
        data = tiff(pixels, bits, photometric, sample_format)
        for read in (lambda: decode.mask(data, "x", (5, 7)), lambda: decode.image(data, "x", 1, "minmax")):
            sentence = sentence_of(read)
            assert sentence.endswith("with 0 for black (BlackIsZero).")
        if bits in (1, 8) or kind in ("u2", "f4"):
            assert sentence.startswith("x is a TIFF in which 0 is white (PhotometricInterpretation is WhiteIsZero")
            black_is_zero = tiff(pixels, bits, 1, sample_format)
            np.testing.assert_array_equal(decode.mask(black_is_zero, "x", (5, 7)), MASK)

    @pytest.mark.parametrize(("mode", "compression"), [("1", "group4"), ("1", "packbits"), ("L", "tiff_lzw")])
    def test_a_compressed_tiff_in_which_0_is_white(self, mode, compression):
        data = encoded(255 * MASK, "TIFF", mode, tiffinfo={262: 0}, compression=compression)
        assert sentence_of(lambda: decode.mask(data, "x", (5, 7))).startswith("x is a TIFF in which 0 is white")

    def test_signed_bytes(self):
        assert decode.mask(tiff(MASK.tobytes(), 8, sample_format=2), "x", (5, 7)).sum() == MASK.sum()
        data = tiff((GREY.astype(int) - 128).astype(np.int8).tobytes(), 8, sample_format=2)
        assert sentence_of(lambda: decode.image(data, "x", 1)).startswith(
            "x has negative 8-bit values; save it with 16"
        )

    def test_a_tiff_with_a_palette_of_8_bits(self):
        data = tiff(GREY.tobytes(), 8, 3, colours=[*range(256)] * 3)
        assert sentence_of(lambda: decode.image(data, "x", 1)).startswith(
            "x has a palette of 8-bit colours, where TIFF"
        )

    @pytest.mark.parametrize("bits", [4, 8])
    @pytest.mark.parametrize("palette", [(0, 255), range(16)])
    def test_a_bmp_with_a_short_palette(self, bits, palette):
        data = bmp(MASK, bits, palette)
        try:
            assert decode.mask(data, "x", (5, 7)).tolist() == MASK.tolist()
        except UserError as error:
            assert str(error).startswith("x has a short palette of greys, with which its pixels are misread; save")
            assert (bits, len(palette)) != (8, 16)

    @pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
    def test_a_transparent_grey_of_any_depth(self, bits):
        top = 2**bits - 1
        values = MASK.astype(">u2") * np.uint16(top)
        rows = b"".join(b"\0" + (packed(row[None], bits) if bits < 16 else row.tobytes()) for row in values)
        for grey in (0, top):
            with pytest.raises(UserError, match="x has transparent pixels, which may or may not count"):
                decode.mask(png(7, 5, bits, 0, rows, tRNS=struct.pack(">H", grey)), "x", (5, 7))
        if 1 < bits < 16:
            data = png(7, 5, bits, 0, rows, tRNS=struct.pack(">H", top // 3 + 1))
            np.testing.assert_array_equal(decode.mask(data, "x", (5, 7)), MASK)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "TIFF", "npy"])
def test_damaged_files_never_end_in_a_traceback(kind, capfd):
    """Bytes changed and cut at seeded places: each file is read or refused in a sentence."""
    rng = np.random.default_rng(1)
    whole = npy(DEEP) if kind == "npy" else encoded(RGB, kind)
    name = "x.npy" if kind == "npy" else "x"
    refused = 0
    for _ in range(400):
        damaged = bytearray(whole[: rng.integers(1, 2 * len(whole))])
        for place in rng.integers(0, min(len(damaged), 200), 2):
            damaged[place] = rng.integers(256)
        for read in (
            lambda data: decode.image(data, name, 3, "minmax"),
            lambda data: decode.mask(data, name, (5, 7)),
        ):
            try:
                read(bytes(damaged))
            except UserError as error:
                refused += 1
                assert "\n" not in str(error) and len(str(error)) < 250
    assert refused > 300
