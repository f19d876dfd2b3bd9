import unicodedata

import pytest

from segunc.data.csv_table import read_table
from segunc.runtime.errors import UserError

NEEDED, OPTIONAL = {"image": ("image", "image_id"), "patient": ("patient",)}, {"group": ("group",)}


def table(path, text, encoding="utf-8"):
    path.write_bytes(text.encode(encoding))
    return list(read_table(path, NEEDED, OPTIONAL))


EXPECTED = [
    (2, {"image": "a", "patient": "p 1", "group": ""}),
    (3, {"image": "b", "patient": "p;2", "group": "g"}),
]


@pytest.mark.parametrize(
    "text",
    [
        'image,patient,group\na,p 1,\nb,"p;2",g\n',
        'Image_ID;Patient;x;Group\r\na;p 1;?;\r\nb;"p;2";!;g\r\n',
        "patient\timage\tgroup\np 1\ta\np;2\tb\tg",
        "\n".join(["group, image ,patient", ", a, p 1", "g, b,p;2 ,,", ",,", ""]),
    ],
    ids=["commas", "semicolons of a spreadsheet", "tabs", "space around, empty rows"],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_what_people_save(tmp_path, text, encoding):
    assert table(tmp_path / "t.csv", text, encoding) == EXPECTED


def test_line_numbers_count_lines_within_fields(tmp_path):
    rows = table(tmp_path / "t.csv", 'image,patient\na,"two\nlines"\nb,p\n')
    assert [line for line, _ in rows] == [3, 4]


def test_text_comes_in_one_normal_form(tmp_path):
    for form in ("NFC", "NFD"):
        [(_, row)] = table(tmp_path / "t.csv", unicodedata.normalize(form, "image,patient\nläsion,müller"))
        assert row["image"] == "l\u00e4sion" and row["patient"] == "m\u00fcller"


@pytest.mark.parametrize(
    ("text", "encoding", "sentence"),
    [
        ("", "utf-8", r"^\S*t.csv has no column called image or image_id; its first line names the columns.$"),
        ("a,p\n", "utf-8", "has no column called image or image_id;"),
        ("image,patient,image_id\n", "utf-8", "has several columns called image or image_id;"),
        ("image,patient\na,\n", "utf-8", r"^line 2 of \S*t.csv has nothing in the column patient; fill it in.$"),
        ("image,patient\na\n", "utf-8", "line 2 of .* has nothing in the column patient"),
        ("image,patient\n\n\na,p,q\n", "utf-8", "line 4 of .* has more fields than the header"),
        ("image,patient\nä,p\n", "latin-1", "t.csv is not UTF-8 text; save it as CSV in UTF-8"),
        ("image,patient\na,p\n", "utf-16", "t.csv is not UTF-8 text"),
        ("image,patient\na,p\n", "utf-16-le", "t.csv is not UTF-8 text"),
        ("image,patient\na,p\0q\n", "utf-8", "t.csv is not UTF-8 text"),
        (f'image,patient\n"{"x" * 200_000}",p\n', "utf-8", "line 2 of .* cannot be read .field larger"),
    ],
)
def test_errors_are_one_sentence(tmp_path, text, encoding, sentence):
    with pytest.raises(UserError, match=sentence) as error:
        table(tmp_path / "t.csv", text, encoding)
    assert "\n" not in str(error.value)


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(UserError, match=r"gone.csv cannot be read \(No such file or directory\)"):
        list(read_table(tmp_path / "gone.csv", NEEDED))
    with pytest.raises(UserError, match=r"cannot be read \(Is a directory\)"):
        list(read_table(tmp_path, NEEDED))
