import re

import pytest

from segunc.data.archive import open_files
from segunc.data.roles import one_each, others, refuse_others
from segunc.runtime.errors import UserError


@pytest.fixture
def files(tmp_path):
    """Twelve files of the contents 0 to 4 in turn."""
    for number in range(12):
        (tmp_path / f"{number}.png").write_bytes(b"%d" % (number % 5))
    with open_files(tmp_path) as opened:
        yield opened


def test_of_identical_files_the_first_counts(files):
    assert one_each(files, {"a": ["5.png", "0.png", "10.png"], "b": ["3.png"]}) == {"a": "5.png", "b": "3.png"}


def test_all_that_differ_are_named_at_once(files):
    claims = {"a": ["0.png", "5.png", "1.png"], "b": ["2.png", "7.png"], "c": ["3.png", "4.png"]}
    sentence = "0.png and 5.png and 1.png, 3.png and 4.png in here have the same id, but differ; keep one file per id."
    with pytest.raises(UserError, match=f"^{re.escape(sentence)}$"):
        one_each(files, claims, "here")


def test_a_sentence_does_not_grow_without_end(files):
    with pytest.raises(UserError, match=r"^0.png and 1.png .* and 7.png and 4 other\(s\) have the same id, but differ"):
        one_each(files, {"a": files.names})


@pytest.mark.parametrize(
    ("name", "refused"),
    [
        ("a.PNG", True),
        ("a", True),
        ("a.png.part", True),
        ("sub/b.zip", True),
        ("sub.zip/b.png", True),
        ("table.CSV", False),
        ("sub/.hidden/a.png", False),
        ("./a.png", True),
        ("sub.zip", False),
        ("sub/deep.tar.gz", False),
    ],
)
def test_files_without_a_role(files, name, refused):
    more = files._replace(names=[*files.names, "sub/deep/x.png", name])
    used = {*files.names, "sub/deep/x.png"}
    assert others(more, used) == [name] * refused
    if refused:
        with pytest.raises(UserError, match=r"^here has 1 file\(s\) other than <id>.png, such as .*; rename or remove"):
            refuse_others(more, used, "<id>.png", "here")
