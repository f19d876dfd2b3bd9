import base64
import copyreg
import functools
import io
import os
import pickle
import struct
import tempfile
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import h5py
import hypothesis
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segunc.data import unpickle
from segunc.data.formats import lidc_pickle
from segunc.data.preparation import prepare
from segunc.data.store import Dropped
from segunc.data.unpickle import array, load
from segunc.runtime.errors import UserError

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)
SERIES = ("1.3.6.1.4.1.14519.5.2.1.6279.6001.1", "1.3.6.1.4.1.14519.5.2.1.6279.6001.2", "Ä b")

NUMPY_1 = {
    # Written by numpy 1.26.4 with pickle protocols 2 and 4, then zlib and base 85.
    2: (
        "c-oCpSx?kZ6z;HFH(YST1w?Ta9jPdypjTcnaSVy~g?S-lrc>#JnSs-Gf|EE2QGr2&OMr+AQG`)ISrWs8lK61X57XYZv^74+dFVN}"
        "_nhzhPWufN<v@s(3WCt5WNRb{<e(^MofD~OuL8w#I+Gg6hU9)t38gYgBN5fKXjbge6uCdG8(Ky-"
        "L@2Sl#B|)gh0?Gv3}teU+#gqDT~yM%5TQI0Fp*<W5h*isGHN8!5^Ng*k;3*-"
        "*g;`uFdPV%g)2s2mjf9$vIFMi?nse2alZvB$MU1Fhr-"
        "@qxY$B#gMFQyop*klVLifv0sCWPYI&rNk2uj)$tD_D9>>@e@#+F;zspu?>buyQ@9jEC;pAX5F150a%?2DIc2S9sy;dA1F|AZ$KiD"
        "J8yHog#Jm9$+*Kynhcu8*Odf6QN#lGV!7i@x1{D5!R0<I=;(uX`ny6s7P?Qu*K2jLzc@(AA%r-M!7dyjmE<h*`Y$VY-ta9%V)an`"
        "44mf+JW`vyO``sN6}=&*at+NX7%IONq>@X0O^eCsSTh@agZz7XG*=E>b?fnb44k#Nz!+aj@7U^8qSm%K&45?o8#2ebB;{zjbMpZL"
        "53m%UH0OmM?|#W%ne-{)8*wl8pvK$U7*@BoE_1{{i6-"
        "cLpKJ{=Bs!;zp`qFQFIR!xT<rEtu3=yBCHWk!M%+>|vGYBx>!5KjJM$~w!GjW%z9$5u0(;tEews5jtDY*SH?D>_TzoU5oot@Tj|4"
        "#bu+oaYo5D1;2S=u$Lt3W>rcm!j!!3c-"
        "QcN`}jv;tGXk1FpIhEu7*Sh3hUwt6H1)Q~W0azJNAPaf8B514vAXh~~YnXbDB{$t2=%%lf%es43J8?HN7v2MQ>-P5"
    ),
    4: (
        "c-"
        "m`VnYxmh0Ss!V^sr{9Rw@`yshy(H!<w0!n4UVNM>MZAx1drlIlm}XFSj(OBr~z7D6w)%4^MniYI1&FaY<2Wa><m*K)qmvQ+n9*QX"
        "onuPw{4Go#M=xG^Kq?&=d`CMsGH6j<zWo>^-"
        "b0C6xuKAWckZ7E?MqAo9#Tj5bsJ{QSKB0|A)uW+<7G)alf~$N&f70+Y2nPENIl&`a$deby<cg>QiJx7z1kDK~p%y&Eciz#dEq9EQ"
        "ptwNENyHQd>B0;=w`eFcz|{(2Uw{(`-GZTjMUn=eB3UA7Ope{;qAoGVcMSM6iL3a>-"
        "WxnU1d9eDpH)V$mFVBr~epyuASuZ1Xpn*YH5$P+H0)`w7g9@?K01&KU@+V|N0yc<a3G1T5C_F!YBpF-__YJUsln(}8*cRaU;IPW>"
        "sJumE^f{ZtO33b;?dyp&U_P&C;@3sAh91!C*)SYkafs((@xxIzD_pSZ!b07!2gSz{@JtWjW*iQk*L=S6jVsUoyl-Ma68EhGxpxDj"
        "eMvYs69;Q-"
        "5<QT2N7NgDvKr<OZfLI!2JuW*HAm%YZ)e}V%V;%!kJux(1^E#mB5de%x0AyZj4_9$&QD$m!d}(G1Fn<~98S9x%DJ|9m0Q&Djj{"
    ),
}


def crop(number: int, size: int = 24, **changes: Any) -> dict[str, Any]:
    """Crop number 0 was marked by nobody, others by 1 to 4 annotators."""
    rng = np.random.default_rng(number)
    masks = [np.zeros((size, size), np.uint8) for _ in range(4)]
    for annotator in range((number + 3) % 4 + 1 if number else 0):
        masks[annotator][5 : 8 + annotator, 6:9] = 1
    return {"image": rng.random((size, size)), "masks": masks, "series_uid": SERIES[number % 3], **changes}


def crops() -> dict[str, dict[str, Any]]:
    return {f"LIDC IDRI-{number} ü": crop(number) for number in range(9)}


@pytest.fixture
def write(tmp_path):
    def write(value: Any, protocol: int = 4) -> Path:
        path = tmp_path / "data_lidc.pickle"
        path.write_bytes(value if isinstance(value, bytes) else pickle.dumps(value, protocol))
        return path

    return write


def refused(path: Path, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence) as error:
        list(lidc_pickle.read(pickle=path))
    assert "\n" not in str(error.value) and str(error.value).isprintable()


def assert_right(entries: list, crops: dict[str, Any]) -> None:
    assert [entry.image_id for entry in entries] == list(crops)
    for entry, (key, values) in zip(entries, crops.items(), strict=True):
        if not np.any(values["masks"]):
            assert entry == Dropped(key, "nobody marked anything")
            continue
        assert entry.group_id == entry.patient_id == values["series_uid"] and entry.split is None
        assert entry.image.dtype == np.uint8
        np.testing.assert_array_equal(entry.image[0], np.floor(np.array(values["image"], float) * 255 + 0.5))
        assert [mask.dtype for mask in entry.masks] == [np.uint8] * 4
        np.testing.assert_array_equal(np.array(entry.masks), np.array(values["masks"]) > 0)


class TestCrops:
    @pytest.mark.parametrize("protocol", PROTOCOLS)
    def test_contents(self, write, protocol):
        assert_right(list(lidc_pickle.read(pickle=write(crops(), protocol))), crops())

    @pytest.mark.parametrize("protocol", NUMPY_1)
    def test_written_by_numpy_1(self, write, protocol):
        content = zlib.decompress(base64.b85decode(NUMPY_1[protocol]))
        assert b"numpy.core.multiarray" in content
        y, x = np.mgrid[:6, :8]
        expected = {"image": (y * 8 + x) / 47, "masks": [x > a + 2 for a in range(4)], "series_uid": "1.3.6"}
        assert_right(list(lidc_pickle.read(pickle=write(content))), {"key 1": expected})

    def test_rounding(self, write):
        image = np.array([[0, 1, 0.5, 0.499999 / 255, 0.5 / 255, 1.5 / 255, 254.5 / 255, 254.4 / 255]])
        masks = [np.ones(image.shape, bool)] * 4
        (record,) = lidc_pickle.read(pickle=write({"a": {"image": image, "masks": masks, "series_uid": "1"}}))
        assert record.image[0, 0].tolist() == [0, 255, 128, 0, 1, 2, 255, 254]

    @pytest.mark.parametrize("protocol", PROTOCOLS)
    @pytest.mark.parametrize("image", ["f2", "<f4", ">f4", "<f8", ">f8"])
    def test_types_and_orders(self, write, protocol, image):
        values = crop(3)
        values["image"] = np.asfortranarray(values["image"].astype(image))
        for masks in (
            [mask.astype(kind) for mask, kind in zip(values["masks"], ("?", ">i8", "f4", "u2"), strict=True)],
            tuple(255 * mask for mask in values["masks"]),
            np.array(values["masks"]),
            [mask.T.copy().T for mask in values["masks"]],
        ):
            found = list(lidc_pickle.read(pickle=write({"a": {**values, "masks": masks}}, protocol)))
            assert_right(found, {"a": {**values, "masks": masks}})

    def test_arrays_and_texts_that_are_shared(self, write):
        shared = crop(3)
        entries = {"a": shared, "b": {**shared, "masks": [shared["masks"][0]] * 4}, "c": shared}
        assert_right(list(lidc_pickle.read(pickle=write(entries))), entries)

    def test_other_fields_do_not_matter(self, write):
        note = ["x" * 10_000, b"y" * 10_000, 10**30, np.float32(1), b""]
        entries = {"a": crop(3, slice=np.int64(5), spacing=(0.5, None, True), note=note)}
        for protocol in PROTOCOLS:
            assert_right(list(lidc_pickle.read(pickle=write(entries, protocol))), entries)

    def test_python_2(self, write):
        """Protocol 2 of Python 2: texts and bytes are both strings of bytes."""

        def string(data: bytes) -> bytes:
            return b"T" + struct.pack("<i", len(data)) + data

        def stored(values: np.ndarray) -> bytes:
            kind = values.dtype.str[1:].encode()
            return b"".join(
                [
                    b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntU\x01btR(K\x01(K\x18K\x18t",
                    b"cnumpy\ndtype\n(U" + bytes([len(kind)]) + kind + b"K\x00K\x01tR(K\x03U\x01<NNNJ\xff\xff\xff\xff",
                    b"J\xff\xff\xff\xffK\x00tb\x89" + string(values.tobytes()) + b"tb",
                ]
            )

        values = crop(3, series_uid="1.2")
        content = b"\x80\x02}U\x01k}(U\x05image" + stored(values["image"]) + b"U\x05masks]("
        content += b"".join(stored(mask) for mask in values["masks"]) + b"eU\nseries_uid" + string(b"1.2") + b"us."
        assert_right(list(lidc_pickle.read(pickle=write(content))), {"k": values})

    def test_the_store_is_split_by_series(self, write, tmp_path):
        spec = {"format": "lidc_pickle", "options": {}, "size": 16, "resize": "crop"}
        spec["split"] = {"train": 0.4, "val": 0.3, "test": 0.3, "seed": 0}
        prepare(spec, {"pickle": write(crops())}, tmp_path / "data.h5")
        with h5py.File(tmp_path / "data.h5") as file:
            assert file["images"].shape == (8, 1, 16, 16) and file["masks"].shape == (8, 4, 16, 16)
            splits = list(zip(file["patient_id"].asstr()[:], file["split"].asstr()[:], strict=True))
            assert len(set(splits)) == 3 and {patient for patient, _ in splits} == set(SERIES)
            assert file.attrs["exclusions"] == '{"nobody marked anything": 1}'

    def test_little_memory(self, write):
        """8 MiB of crops, of which no more than one is held."""
        path = write({str(number): crop(3, size=128) for number in range(45)})
        assert path.stat().st_size > 2**23
        tracemalloc.start()
        try:
            assert sum(1 for _ in lidc_pickle.read(pickle=path)) == 45
            assert tracemalloc.get_traced_memory()[1] < 2**21
        finally:
            tracemalloc.stop()


SMALL = np.zeros((24, 24), np.uint8)

BAD = {
    "list": ([crop(1)], "contains a list instead of crops"),
    "nothing": ({}, "contains a dict instead of crops"),
    "number": (5, "contains a int instead of crops"),
    "array": (np.zeros((3, 3)), "contains a StoredArray instead of crops"),
    "entry is a list": ({"a": [1]}, "^'a' in .*data_lidc.pickle has no image, masks and series_uid; give"),
    "no image": ({"a": {"masks": [], "series_uid": "1"}}, "^'a' in .* has no image, masks and series_uid"),
    "no masks": ({"a": {"image": SMALL, "series_uid": "1"}}, "^'a' in .* has no image, masks and series_uid"),
    "no series": ({"a": {"image": SMALL, "masks": []}}, "^'a' in .* has no image, masks and series_uid"),
    "series is None": ({"a": crop(1, series_uid=None)}, "^'a' in .* has a key or series_uid that is not readable text"),
    "series is empty": ({"a": crop(1, series_uid="")}, "^'a' in .* has a key or series_uid that is not readable"),
    "series with a zero": ({"a": crop(1, series_uid="1\0")}, "^'a' in .* has a key or series_uid that is no"),
    "series is long": ({"a": crop(1, series_uid="1" * 5000)}, "^'a' in .* has a key or series_uid that is no"),
    "key with a line break": ({"a\nb": crop(1)}, r"^'a\\nb' in .* has a key or series_uid that is not readable text"),
    "key is a number": ({1: crop(1)}, "is cut off or damaged at byte"),
    "NaN": ({"a": crop(1, image=np.full((24, 24), np.nan))}, r"^the image of 'a' in .* has values that are not in \[0"),
    "infinity": ({"a": crop(1, image=np.full((24, 24), np.inf))}, r"has values that are not in \[0, 1\]"),
    "negative": ({"a": crop(1, image=np.full((24, 24), -0.01))}, r"has values that are not in \[0, 1\]"),
    "to 255": ({"a": crop(1, image=np.full((24, 24), 255.0))}, r"has values that are not in \[0, 1\]"),
    "bytes": ({"a": crop(1, image=SMALL)}, r"an array of uint8 with the shape \(24, 24\), but must be floats"),
    "colour": (
        {"a": crop(1, image=np.zeros((24, 24, 3)))},
        r"an array of float64 with the shape \(24, 24, 3\), but must",
    ),
    "empty image": ({"a": crop(1, image=np.zeros((0, 24)))}, r"an array of float64 with the shape \(0, 24\), but must"),
    "image is a list": ({"a": crop(1, image=[[0.5]])}, "^the image of 'a' in .* is not an array but a list; give"),
    "three masks": ({"a": crop(1, masks=[SMALL] * 3)}, "^'a' in .* does not have 4 masks, one per annotator; add"),
    "five masks": ({"a": crop(1, masks=np.zeros((5, 24, 24)))}, "^'a' in .* does not have 4 masks, one per annotator"),
    "one mask": ({"a": crop(1, masks=SMALL)}, "^'a' in .* does not have 4 masks, one per annotator"),
    "a number of masks": ({"a": crop(1, masks=4)}, "^'a' in .* does not have 4 masks, one per annotator"),
    "a scalar array": ({"a": crop(1, masks=np.array(4))}, "^'a' in .* does not have 4 masks, one per annotator"),
    "mask is None": (
        {"a": crop(1, masks=[SMALL, None, SMALL, SMALL])},
        "^mask 1 of 'a' in .* is not an array but a No",
    ),
    "mask of another size": (
        {"a": crop(1, masks=[SMALL, SMALL, SMALL, SMALL[1:]])},
        r"^mask 3 of 'a' in .* is an array of uint8 with the shape \(23, 24\), but its image has the shape \(24, 24\);",
    ),
    **{
        f"mask of {values}": (
            {"a": crop(1, masks=[SMALL, SMALL, np.resize(np.array(values), (24, 24)), SMALL])},
            r"^mask 2 of 'a' in .* has values other than 0 and 1 \(or 0 and 255\); threshold it.$",
        )
        for values in ((0, 1, 2), (0, 2), (0, 1, 255), (0, -1), (-1, 1), (0.5,), (0, 0.5, 1), (np.nan, 0), (np.inf,))
    },
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_crops(write, kind):
    value, sentence = BAD[kind]
    for protocol in (2, 4, 5):
        refused(write(value, protocol), sentence)


def test_no_file(tmp_path):
    refused(
        tmp_path / "nowhere.pickle", r"nowhere.pickle cannot be opened \(No such file or directory\); put data_lidc"
    )
    refused(tmp_path, r"cannot be opened \(Is a directory\); put data_lidc.pickle there.$")


class Reduced:
    """Pickles as whatever call it is given."""

    def __init__(self, *call: Any) -> None:
        self.call = call

    def __reduce__(self) -> Any:
        return self.call


class Plain:
    pass


def touched(marker: Path) -> dict[str, tuple[Any, str]]:
    """Values that touch the file `marker` when they are unpickled, or would do some other thing."""
    command = f"touch {marker}"
    partial = functools.partial(os.system, command)
    return {
        "os.system": (Reduced(os.system, (command,)), r"imports (posix|nt).system, which"),
        "eval": (Reduced(eval, (f"__import__('os').system({command!r})",)), r"imports (__builtin__|builtins).eval"),
        "partial": (Reduced(partial, ()), "imports functools.partial"),
        "copyreg": (Reduced(copyreg._reconstructor, (Plain, object, None)), r"imports copy_?reg._reconstructor"),
        "import": (Reduced(__import__, ("os",)), "imports .*__import__"),
        "numpy.load": (Reduced(np.load, (str(marker), None, True)), r"imports numpy.*load"),
        "numpy.save": (Reduced(np.save, (str(marker), SMALL)), "imports numpy.*save"),
        "open": (Reduced(open, (str(marker), "w")), "imports .*open"),
        "an instance": (Plain(), r"imports .*"),
        "an object array": (
            np.array([Reduced(os.system, (command,))], object),
            "has an array of 'O8', but only numbers",
        ),
        "texts": (np.array(["a"]), "has an array of 'U1', but only numbers are read"),
        "dates": (np.array(["2020"], "M8[s]"), "has an array of 'M8', but only numbers are read"),
        "records": (np.zeros(2, [("a", "f8")]), "has an array of 'V8', but only numbers are read"),
        "a data frame": (pd.DataFrame({"a": [1]}), "imports (pandas|copy_reg)"),
        "a set": ({1, 2}, r"imports .*set|operation b'\\x8f'"),
        "a masked array": (np.ma.zeros(3), "imports numpy.ma"),
        "a matrix": (np.zeros((2, 2)).view(np.matrix), "imports numpy.*matrix"),
    }


class TestMalice:
    @pytest.mark.parametrize("protocol", PROTOCOLS)
    def test_nothing_is_run(self, write, tmp_path, protocol):
        marker = tmp_path / "marker"
        for value, sentence in touched(marker).values():
            for within in (value, {"a": value}, {"a": crop(1, masks=[value] * 4)}, [crop(1), (value,)]):
                refused(write(within, protocol), sentence)
        assert not marker.exists()

    def test_the_fixtures_are_dangerous(self, tmp_path):
        """Else the test above says nothing."""
        marker = tmp_path / "marker"
        for name in ("os.system", "eval", "partial", "numpy.save", "an object array"):
            pickle.loads(pickle.dumps(touched(marker)[name][0]))
            created = [file for file in tmp_path.iterdir() if file.name.startswith("marker")]
            assert created, name
            for file in created:
                file.unlink()

    @pytest.mark.parametrize(
        ("content", "sentence"),
        [
            (
                b"cos\nsystem\n(V echo\ntR.",
                "imports os.system, which a pickle of plain values and arrays never needs; do not",
            ),
            (b"(V echo\nios\nsystem\n.", "imports os.system"),
            (b"(cos\nsystem\nV echo\no.", "imports os.system"),
            (b"\x80\x04\x8c\x02os\x8c\x06system\x93.", "imports os.system"),
            (b"\x80\x04\x8c\x05numpy\x8c\x1acore.multiarray.fromstring\x93.", "imports numpy.core.multiarray.fr"),
            (b"\x80\x04\x8c\x08builtins\x8c\x10getattr.__call__\x93.", "imports builtins.getattr.__call__"),
            (b"\x80\x04\x8c\x02o\n\x8c\x02\xc3\xa4\x93.", r"imports 'o\\n.\\xe4'"),
            (b"c" + b"a" * 3000 + b"\n" + b"b" * 3000 + b"\n.", "imports 'a{100}', which"),
            (b"c" + b"a" * 5000 + b"\nb\n.", "is cut off or damaged"),
            (b"\x80\x04K\x01K\x02\x93.", "is cut off or damaged"),
            (
                b"\x80\x02\x82\x01.",
                r"is not a pickle of .* and arrays \(operation b'\\x82' at byte 2\); give the",
            ),
            (b"\x80\x02U\x01aQ.", r"\(operation b'Q' at byte 5\)"),
            (b"Pid\n.", r"\(operation b'P' at byte 0\)"),
            (b"PK\x03\x04", r"\(operation b'P' at byte 0\); give the pickle itself, unpacked if it came in an"),
            (b"\x1f\x8b\x08", r"\(operation b'\\x1f' at byte 0\)"),
            (b"<!DOCTYPE html>", r"\(operation b'<' at byte 0\)"),
            (b"\x97.", r"\(operation b'\\x97' at byte 0\)"),
            (b"", "is cut off or damaged at byte 0"),
            (b".", "is cut off or damaged at byte 1"),
            (b"(.", "is cut off or damaged"),
            (b"NN.", "is cut off or damaged"),
            (b"t.", "is cut off or damaged"),
            (b"(\x85.", "is cut off or damaged"),
            (b"(NN\x87.", "is cut off or damaged"),
            (b"Na.", "is cut off or damaged"),
            (b"(NNa.", "is cut off or damaged"),
            (b"}(V a\nu.", "is cut off or damaged"),
            (b"}(NNu.", "is cut off or damaged"),
            (b"}(V a\nNV a\nNu.", "has the key ' a' twice in a dictionary; fetch it again.$"),
            (b"}}N s.", "operation b' '"),
            (b"h\x00.", "is cut off or damaged"),
            (b"Np99999999999\n.", "is cut off or damaged"),
            (b"Np-1\n.", "is cut off or damaged"),
            (b"q\x00.", "is cut off or damaged"),
            (b"NNb.", "is cut off or damaged"),
            (b"}}b.", "is cut off or damaged"),
            (b"NNR.", "is cut off or damaged"),
            (b"Ix\n.", "is cut off or damaged"),
            (b"I" + b"9" * 4000 + b"\n.", "contains a int instead of crops"),
            (b"L" + b"9" * 4096 + b"\n.", "is cut off or damaged"),
            (b"\x8b\xff\xff\xff\x7f.", r"operation b'\\x8b'"),
            (b"X\xff\xff\xff\x7fabc.", "is cut off or damaged"),
            (b"B\xff\xff\xff\xffabc.", "is cut off or damaged"),
            (b"\x8e" + b"\xff" * 8 + b"abc.", "is cut off or damaged"),
            (b"T\xff\xff\xff\xffabc.", "is cut off or damaged"),
            (b"X\x01\x00\x00\x00\xff.", "is cut off or damaged"),
            (b"cnumpy\nndarray\n(I1\ntR.", "is cut off or damaged"),
            (b"cnumpy\nndarray\n)\x81.", r"operation b'\\x81'"),
            (b"cnumpy\ndtype\n(V f8\ntR.", "is cut off or damaged"),
            (b"cnumpy\ndtype\n(Vf8\nNNtR(INtb.", "is cut off or damaged"),
            (b"cnumpy\ndtype\n(VO8\nNNtR.", "has an array of 'O8', but only numbers are read; remove it.$"),
            (b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\ndtype\n(I0\ntVb\ntR.", "is cut off or damaged"),
            (b"c_codecs\nencode\n(Va\nVrot13\ntR.", "is cut off or damaged"),
        ],
    )
    def test_operations(self, write, content, sentence):
        refused(write(content), sentence)

    @pytest.mark.parametrize(
        "opener", [b"(", b"]", b"}", b"(l", b")\x85", b"(N", b"]\x94", b"\x85", b"cnumpy\ndtype\n"]
    )
    def test_depth(self, write, opener):
        refused(write(opener * 100_000 + b"."), "is cut off or damaged")

    def test_deep_values(self, write):
        refused(write(b"N" + b"\x85" * 100_000 + b"."), "contains a tuple instead of crops")
        refused(
            write(b"(" * 100_000 + b"l" * 100_000 + b"."),
            "is cut off or damaged|contains a list instead of crops",
        )
        refused(write(b"}N" + b"\x85" * 100_000 + b"Ns."), "is cut off or damaged")
        deep = b"}Va\n}(Vimage\nN" + b"\x85" * 100_000 + b"Vmasks\nNVseries_uid\nV1\nus."
        refused(write(deep), "^the image of 'a' in .* is not an array but a tuple")

    def test_values_within_themselves(self, write):
        itself: dict[str, Any] = {}
        itself["image"] = itself["masks"] = itself["series_uid"] = itself["a"] = itself
        refused(write(itself), "has no image, masks and series_uid|not readable text")
        refused(write(b"]q\x00h\x00a."), "contains a list instead of crops")

    def test_more_operations_than_any_data(self, write, monkeypatch):
        monkeypatch.setattr(unpickle, "MOST_STEPS", 1000)
        refused(write(b"N" * 2000 + b"."), "has more than 1000 operations, too many for image crops")

    @pytest.mark.parametrize(
        "shape",
        [
            (2**31 - 1,) * 2,
            (2**31 - 1,) * 4,
            (2**70, 1),
            (-1, 5),
            (24, 25),
            (24,) * 5,
            ("a",),
            (True, 24),
            None,
            (10**30,),
        ],
    )
    def test_shapes_that_do_not_fit(self, write, shape):
        reconstruct = np.zeros(1).__reduce__()[0]
        state = (1, shape, np.dtype("f8"), False, bytes(24 * 24 * 8))
        path = write({"a": crop(1, image=Reduced(reconstruct, (np.ndarray, (0,), b"b"), state))})
        tracemalloc.start()
        try:
            refused(path, "cut off or damaged|cannot be read|but must be floats")
            assert tracemalloc.get_traced_memory()[1] < 2**21
        finally:
            tracemalloc.stop()

    def test_an_array_as_large_as_its_file(self, write, monkeypatch):
        monkeypatch.setattr(unpickle, "LARGEST_MEMBER", 1000)
        refused(write({"a": crop(1)}), r"^the image of 'a' in .* cannot be read \(it is 0 MiB, but at most 0 are read")

    def test_an_array_that_was_never_filled(self, write):
        reconstruct = np.zeros(1).__reduce__()[0]
        path = write({"a": crop(1, image=Reduced(reconstruct, (np.ndarray, (0,), b"b")))})
        refused(path, r"^the image of 'a' in .* is an array of uint8 with the shape \(0,\), but must be floats")

    @pytest.mark.parametrize("protocol", PROTOCOLS)
    def test_cut_off(self, write, protocol):
        whole = pickle.dumps({"a": crop(1), "b": crop(2)}, protocol)
        for keep in (*range(0, len(whole), 97), len(whole) - 1):
            refused(write(whole[:keep]), r"lidc.pickle is cut off or damaged at byte \d+ \(\w+\); fetch it again.$")

    @pytest.mark.parametrize("protocol", PROTOCOLS)
    def test_joined(self, write, protocol):
        one, other = (pickle.dumps({key: crop(1)}, protocol) for key in "ab")
        refused(write(one + other), rf"lidc.pickle has data after its end at byte {len(one)}, as if several were")

    def test_nothing_half_written(self, write, tmp_path):
        spec = {"format": "lidc_pickle", "options": {}, "size": 16, "resize": "crop", "split": {}}
        path = write({**crops(), "last": crop(3, image=SMALL)})
        with pytest.raises(UserError, match=r"^the image of 'last' in "):
            prepare(spec, {"pickle": path}, tmp_path / "results" / "data.h5")
        assert not list((tmp_path / "results").iterdir())


WHOLE = {protocol: pickle.dumps({"a": crop(1, 9), "b": crop(2, 9)}, protocol) for protocol in PROTOCOLS}
OPERATIONS = [*unpickle.OPERATIONS, *(bytes([code]) for code in range(256))]
ARGUMENTS = [
    b"",
    b"a\n",
    b"1\n",
    b"\x00",
    b"\x01a",
    b"\x01\x00\x00\x00a",
    b"numpy\ndtype\n",
    b"Vf8\n",
    b"I1\n",
    b"K\x01",
]


def read_or_refused(data: bytes) -> None:
    with tempfile.NamedTemporaryFile() as file:
        Path(file.name).write_bytes(data)
        try:
            list(lidc_pickle.read(pickle=Path(file.name)))
        except UserError as error:
            assert str(error).isprintable()


@hypothesis.settings(max_examples=150)
@given(
    protocol=st.sampled_from(PROTOCOLS),
    changes=st.lists(st.tuples(st.floats(0, 0.999), st.binary(min_size=1, max_size=3)), min_size=1, max_size=4),
)
def test_damaged_pickles_are_read_or_refused(protocol, changes):
    data = bytearray(WHOLE[protocol])
    for place, content in changes:
        start = int(place * len(data))
        data[start : start + len(content)] = content
    read_or_refused(bytes(data))


@hypothesis.settings(max_examples=150)
@given(steps=st.lists(st.tuples(st.sampled_from(OPERATIONS), st.sampled_from(ARGUMENTS)), max_size=30))
def test_any_program_is_read_or_refused(steps):
    read_or_refused(b"".join(code + argument for code, argument in steps) + b".")


@given(
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
        lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner),
        max_leaves=20,
    ),
    protocol=st.sampled_from(PROTOCOLS),
)
def test_plain_values_come_back(value, protocol):
    assert load(io.BytesIO(pickle.dumps(value, protocol)), "file") == value


@given(
    shape=st.lists(st.integers(0, 5), max_size=4).map(tuple),
    kind=st.sampled_from(["?", "u1", ">i2", "<i4", "i8", "f2", ">f4", "<f8"]),
    protocol=st.sampled_from(PROTOCOLS),
    turned=st.booleans(),
)
def test_arrays_come_back(shape, kind, protocol, turned):
    values = (np.arange(np.prod(shape, dtype=int)) % 7).reshape(shape).astype(kind)
    values = np.asfortranarray(values) if turned else values
    file = io.BytesIO(pickle.dumps(values, protocol))
    back = array(file, load(file, "file"))
    assert back.dtype == values.dtype
    np.testing.assert_array_equal(back, values)
