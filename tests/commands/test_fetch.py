import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.request import Request

import numpy as np
import pytest
from helpers.workflow import ROOT

from segunc.catalogue.options import available
from segunc.commands import download as module
from segunc.commands import fetch
from segunc.commands.download import GoneError, download
from segunc.config.schema import FORMAT
from segunc.runtime.errors import UserError

CONTENT = np.random.default_rng(0).bytes(300_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
OTHER = np.random.default_rng(1).bytes(250_000)


class Server:
    """An HTTP server of one file with faults: each request takes the next answer, the last one stays."""

    def __init__(self) -> None:
        self.answers: list[Callable[[BaseHTTPRequestHandler], None]] = []
        self.requests: list[dict[str, str]] = []

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(handler):
                self.requests.append({"path": handler.path, **handler.headers})
                handler.close_connection = True
                answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
                answer(handler)

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/a.zip"

    def asked_for(self) -> list[str | None]:
        return [request.get("Range") for request in self.requests]


@pytest.fixture
def server():
    result = Server()
    yield result
    result.server.shutdown()
    result.server.server_close()


@pytest.fixture(autouse=True)
def pauses(monkeypatch) -> list[float]:
    """How long the program would have slept."""
    slept: list[float] = []
    monkeypatch.setattr(module.time, "sleep", slept.append)
    return slept


def sends(content=CONTENT, tag='"v1"', cut=None, ranges=True, compares=True, length=None, kind="application/zip"):
    """An answer as of a file server; cut: bytes after which the connection breaks."""

    def answer(handler):
        start, status = 0, 200
        wanted = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
        if ranges and wanted and (not compares or handler.headers["If-Range"] == tag):
            start, status = int(wanted[1]), 206
            if start >= len(content):
                return replies(416)(handler)
        handler.send_response(status)
        handler.send_header("Content-Type", kind)
        if tag:
            handler.send_header("ETag", tag)
        if status == 206:
            handler.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        handler.send_header("Content-Length", str(length or len(content) - start))
        handler.end_headers()
        handler.wfile.write(content[start : cut and start + cut])

    return answer


def replies(status: int, **headers: str):
    def answer(handler):
        handler.send_response(status)
        for name, value in {"Content-Length": "0", **headers}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()

    return answer


def left(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def test_a_file_with_a_published_digest(server, tmp_path):
    server.answers = [sends()]
    download(server.url, tmp_path / "deep" / "a.zip", SHA256)
    assert (tmp_path / "deep" / "a.zip").read_bytes() == CONTENT
    assert left(tmp_path / "deep") == ["a.zip"]
    assert server.requests[0]["User-Agent"] == "segunc"
    download(server.url, tmp_path / "deep" / "a.zip", SHA256)
    assert len(server.requests) == 1


def test_a_cut_download_resumes(server, tmp_path, pauses, capsys):
    server.answers = [sends(cut=100_000), sends(cut=100_000), sends()]
    download(server.url, tmp_path / "a.zip", SHA256)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT
    assert server.asked_for() == [None, "bytes=100000-", "bytes=200000-"]
    assert [request.get("If-Range") for request in server.requests] == [None, '"v1"', '"v1"']
    assert len(pauses) == 2
    assert "a.zip: the connection ended after 100000 of 300000 bytes; retrying in 1 s" in capsys.readouterr().err
    assert left(tmp_path) == ["a.zip"]


def test_the_next_call_resumes_too(server, tmp_path):
    server.answers = [sends(cut=100_000), replies(503)]
    with pytest.raises(UserError, match=r"a.zip cannot be fetched now \(503 .*\); try again later, a.zip.part keeps"):
        download(server.url, tmp_path / "a.zip", SHA256)
    assert left(tmp_path) == ["a.zip.part", "a.zip.part.json"]
    assert (tmp_path / "a.zip.part").read_bytes() == CONTENT[:100_000]
    server.answers, server.requests = [sends()], []
    download(server.url, tmp_path / "a.zip", SHA256)
    assert server.asked_for() == ["bytes=100000-"]
    assert (tmp_path / "a.zip").read_bytes() == CONTENT and left(tmp_path) == ["a.zip"]


def test_a_whole_part_is_not_fetched_again(server, tmp_path):
    (tmp_path / "a.zip.part").write_bytes(CONTENT)
    (tmp_path / "a.zip.part.json").write_text(json.dumps({"version": '"v1"', "size": len(CONTENT)}))
    download(server.url, tmp_path / "a.zip", SHA256)
    assert server.requests == [] and left(tmp_path) == ["a.zip"]


@pytest.mark.parametrize(
    "second",
    [
        pytest.param(sends(OTHER, '"v2"'), id="the server compares versions"),
        pytest.param(sends(OTHER, '"v2"', compares=False), id="it does not"),
        pytest.param(sends(OTHER, '"v2"', ranges=False), id="it sends no parts"),
    ],
)
def test_a_file_that_changed_between_two_attempts_starts_over(server, tmp_path, second):
    server.answers = [sends(cut=100_000), second]
    download(server.url, tmp_path / "a.zip", hashlib.sha256(OTHER).hexdigest())
    assert (tmp_path / "a.zip").read_bytes() == OTHER


def test_a_file_that_became_shorter_than_its_part(server, tmp_path):
    server.answers = [sends(cut=200_000), sends(OTHER[:1000], '"v2"', compares=False)]
    download(server.url, tmp_path / "a.zip", hashlib.sha256(OTHER[:1000]).hexdigest())
    assert server.asked_for() == [None, "bytes=200000-", None]


@pytest.mark.parametrize("tag", [None, 'W/"v1"'])
def test_without_an_exact_version_nothing_is_continued(server, tmp_path, tag):
    server.answers = [sends(tag=tag, cut=100_000), sends(tag=tag)]
    download(server.url, tmp_path / "a.zip", SHA256)
    assert server.asked_for() == [None, None]
    assert (tmp_path / "a.zip").read_bytes() == CONTENT


def test_a_part_of_unknown_origin_is_not_continued(server, tmp_path):
    (tmp_path / "a.zip.part").write_bytes(OTHER[:1000])
    server.answers = [sends()]
    download(server.url, tmp_path / "a.zip", SHA256)
    assert server.asked_for() == [None] and (tmp_path / "a.zip").read_bytes() == CONTENT


def test_an_answer_to_another_range_is_not_appended(server, tmp_path):
    def elsewhere(handler):
        handler.send_response(206)
        for name, value in {"ETag": '"v1"', "Content-Range": "bytes 5-9/300000", "Content-Length": "5"}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(CONTENT[5:10])

    server.answers = [sends(cut=100_000), elsewhere, sends()]
    download(server.url, tmp_path / "a.zip", SHA256)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT


def test_a_server_that_sends_no_length(server, tmp_path):
    def chunked(handler):
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for start in range(0, len(CONTENT), 50_000):
            handler.wfile.write(b"%x\r\n" % 50_000 + CONTENT[start : start + 50_000] + b"\r\n")
            if cut:
                return
        handler.wfile.write(b"0\r\n\r\n")

    for cut in (True, False):
        server.answers = [chunked]
        if cut:
            with pytest.raises(UserError, match="cannot be fetched now"):
                download(server.url, tmp_path / "a.zip", SHA256)
        else:
            download(server.url, tmp_path / "a.zip", SHA256)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT


@pytest.mark.parametrize(
    "answer", [sends(OTHER), sends(CONTENT[:-1]), sends(length=299_999)], ids=["bytes", "shorter", "announced shorter"]
)
def test_a_wrong_file_is_not_kept(server, tmp_path, answer):
    server.answers = [answer]
    with pytest.raises(UserError, match=rf"a.zip has the SHA-256 \w+, not {SHA256} as published; it was not kept"):
        download(server.url, tmp_path / "a.zip", SHA256)
    assert left(tmp_path) == []


def test_a_length_that_never_comes_ends_after_some_attempts(server, tmp_path, pauses):
    server.answers = [sends(length=400_000)]
    with pytest.raises(UserError, match=r"cannot be fetched now \(the connection ended after 300000 of 400000 bytes\)"):
        download(server.url, tmp_path / "a.zip", SHA256)
    assert len(server.requests) == 7 and not (tmp_path / "a.zip").exists()


def test_a_busy_server_is_asked_again(server, tmp_path, pauses):
    server.answers = [
        replies(503),
        replies(503, Retry_After="7"),
        replies(429, Retry_After="100000"),
        replies(502),
        sends(),
    ]
    download(server.url, tmp_path / "a.zip", SHA256)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT
    assert pauses == [1, 7, module.LONGEST_PAUSE, 8]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
def test_a_file_that_is_not_there(server, tmp_path, monkeypatch, status):
    server.answers = [replies(status)]
    dataset = fetch.Dataset("x", (fetch.File("a.zip", server.url, SHA256),), "CC0", "me", "https://example.org/page")
    monkeypatch.setitem(fetch.DATASETS, "mine", dataset)
    with pytest.raises(UserError) as error:
        fetch.fetch("mine", tmp_path)
    assert re.fullmatch(
        rf"{server.url} cannot be fetched \({status} [\w ]+\); look up its address at https://example.org/page and "
        rf"put the file at {tmp_path}/a.zip.",
        str(error.value),
    )
    assert len(server.requests) == 1 and left(tmp_path) == []


def test_a_web_page_is_not_the_file(server, tmp_path):
    server.answers = [sends(b"<html>please log in</html>", kind="text/html; charset=utf-8")]
    with pytest.raises(GoneError, match="the server returned a web page"):
        download(server.url, tmp_path / "a.zip")
    assert left(tmp_path) == []


def test_redirects_within_http_are_followed(server, tmp_path):
    server.answers = [replies(302, Location="/elsewhere.zip"), sends()]
    download(server.url, tmp_path / "a.zip", SHA256)
    assert [request["path"] for request in server.requests] == ["/a.zip", "/elsewhere.zip"]


@pytest.mark.parametrize("scheme", ["file", "ftp", "data"])
def test_redirects_to_other_schemes_are_refused(server, tmp_path, scheme):
    secret = tmp_path / "secret"
    secret.write_text("secret")
    server.answers = [replies(302, Location=f"{scheme}://{secret}")]
    with pytest.raises(GoneError):
        download(server.url, tmp_path / "store" / "a.zip")
    assert left(tmp_path / "store") == []


@pytest.mark.parametrize(
    ("old", "new", "follows"),
    [
        ("https://a.org/x", "http://a.org/x", False),
        ("https://a.org/x", "HTTP://a.org/x", False),
        ("https://a.org/x", "https://b.org/x", True),
        ("http://a.org/x", "https://a.org/x", True),
        ("http://a.org/x", "ftp://a.org/x", False),
    ],
)
def test_redirects_never_leave_an_encrypted_connection(old, new, follows):
    arguments = (Request(old), None, 302, "Found", {}, new)
    if follows:
        assert module._Redirects().redirect_request(*arguments).full_url == new
    else:
        with pytest.raises(GoneError, match=r"redirects to .*, which is not followed"):
            module._Redirects().redirect_request(*arguments)


def test_the_first_digest_is_recorded_and_must_stay(server, tmp_path):
    path = tmp_path / "a.zip"
    server.answers = [sends()]
    download(server.url, path)
    record = tmp_path / "a.zip.sha256"
    assert record.read_text() == f"# 300000 bytes from {server.url}\n{SHA256}  a.zip\n"
    if shutil.which("sha256sum"):
        done = subprocess.run(["sha256sum", "--check", record.name], cwd=tmp_path, capture_output=True, text=True)
        assert (done.returncode, done.stdout, done.stderr) == (0, "a.zip: OK\n", "")
    download(server.url, path)
    assert len(server.requests) == 1

    path.write_bytes(OTHER)
    with pytest.raises(UserError, match=rf"a.zip has the SHA-256 \w+, not {SHA256} as in a.zip.sha256; remove it and"):
        download(server.url, path)
    assert path.read_bytes() == OTHER
    path.unlink()
    server.answers = [sends(OTHER)]
    with pytest.raises(UserError, match=r"as in a.zip.sha256; it was not kept"):
        download(server.url, path)
    assert left(tmp_path) == ["a.zip.sha256"]
    record.write_text("something else\nand more\n")
    with pytest.raises(UserError, match=r"a.zip.sha256 does not contain exactly one SHA-256; remove it"):
        download(server.url, path)


def test_a_file_that_was_put_there_is_recorded_too(server, tmp_path):
    (tmp_path / "a.zip").write_bytes(CONTENT)
    download(server.url, tmp_path / "a.zip")
    assert SHA256 in (tmp_path / "a.zip.sha256").read_text() and server.requests == []


def test_a_wrong_file_that_was_put_there_is_refused_and_stays(server, tmp_path):
    (tmp_path / "a.zip").write_bytes(OTHER)
    with pytest.raises(UserError, match=rf"a.zip has the SHA-256 \w+, not {SHA256} as published; remove it and"):
        download(server.url, tmp_path / "a.zip", SHA256)
    assert (tmp_path / "a.zip").read_bytes() == OTHER


def test_two_programs_do_not_write_the_same_part(server, tmp_path):
    server.answers = [sends()]
    with (
        module._alone(tmp_path / "a.zip.part"),
        pytest.raises(UserError, match=r"a.zip.part is being fetched by another program; wait for it"),
    ):
        download(server.url, tmp_path / "a.zip", SHA256)
    assert server.requests == []
    download(server.url, tmp_path / "a.zip", SHA256)


@pytest.mark.parametrize(
    "state",
    [
        b"",
        b"no JSON",
        b"\xff\xfe",
        b"[]",
        b"7",
        b"null",
        b"{}",
        b'{"version": "\\"v1\\""}',
        b'{"size": 300000}',
        b'{"version": 1, "size": 300000}',
        b'{"version": "a\\nHost: b", "size": 300000}',
        b'{"version": "\\u2028", "size": 300000}',
        b'{"version": "\\"v1\\"", "size": "300000"}',
        b'{"version": "\\"v1\\"", "size": {}}',
        b"[" * 100_000,
    ],
)
def test_a_damaged_record_of_the_part_starts_over(server, tmp_path, state):
    (tmp_path / "a.zip.part").write_bytes(CONTENT[:1000])
    (tmp_path / "a.zip.part.json").write_bytes(state)
    server.answers = [sends()]
    download(server.url, tmp_path / "a.zip", SHA256)
    assert server.asked_for() == [None] and (tmp_path / "a.zip").read_bytes() == CONTENT
    assert left(tmp_path) == ["a.zip"]


@pytest.mark.parametrize(
    "record", [b"", b"\xff\xfe", b"short  a.zip\n", b"# only a comment\n", b"x" * 64 + b"  a.zip\n"]
)
def test_a_damaged_record_of_the_digest(server, tmp_path, record):
    (tmp_path / "a.zip").write_bytes(CONTENT)
    (tmp_path / "a.zip.sha256").write_bytes(record)
    with pytest.raises(UserError, match=r"a.zip.sha256 does not contain exactly one SHA-256; remove it"):
        download(server.url, tmp_path / "a.zip")


@pytest.mark.parametrize("name", ["a.zip.part", "a.zip.part.json"])
@pytest.mark.parametrize("put_there", [Path.symlink_to, Path.hardlink_to])
def test_links_in_place_of_the_part_are_not_followed(server, tmp_path, name, put_there):
    mine = tmp_path / "mine.txt"
    mine.write_text("precious")
    folder = tmp_path / "data"
    folder.mkdir()
    put_there(folder / name, mine)
    server.answers = [sends(cut=100_000), sends()]
    download(server.url, folder / "a.zip", SHA256)
    assert mine.read_text() == "precious"
    assert (folder / "a.zip").read_bytes() == CONTENT and not (folder / "a.zip").is_symlink()
    assert left(folder) == ["a.zip"]


@pytest.mark.parametrize("name", ["a.zip", "a.zip.part", "a.zip.part.json", "a.zip.sha256"])
@pytest.mark.parametrize("put_there", [os.mkfifo, os.mkdir, lambda path: path.symlink_to("nowhere")])
def test_what_is_no_file_is_refused_or_makes_way(server, tmp_path, name, put_there):
    put_there(tmp_path / name)
    server.answers = [sends()]
    signal.alarm(20)
    try:
        download(server.url, tmp_path / "a.zip")
    except UserError as error:
        assert re.search(r"is not a regular file; remove it|cannot be written \(Is a directory\)", str(error))
    else:
        assert (tmp_path / "a.zip").read_bytes() == CONTENT and (tmp_path / "a.zip.sha256").is_file()
    signal.alarm(0)
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("length", [{}, {"Content-Length": "0"}])
def test_an_empty_answer_is_no_file(server, tmp_path, length):
    def empty(handler):
        handler.send_response(200)
        for header in {"ETag": '"v1"', **length}.items():
            handler.send_header(*header)
        handler.end_headers()

    server.answers = [empty]
    with pytest.raises(GoneError, match="the server returned an empty file"):
        download(server.url, tmp_path / "a.zip")
    assert left(tmp_path) == []


def test_being_stopped_keeps_the_part(server, tmp_path, monkeypatch):
    server.answers = [sends()]
    monkeypatch.setattr(module, "PIECE", 1000)

    class Stop(module.Progress):
        def update(self, done, note=""):
            if done >= 100:
                raise KeyboardInterrupt

    monkeypatch.setattr(module, "Progress", Stop)
    with pytest.raises(KeyboardInterrupt):
        download(server.url, tmp_path / "a.zip", SHA256)
    part = (tmp_path / "a.zip.part").read_bytes()
    assert CONTENT.startswith(part) and 100_000 <= len(part) < len(CONTENT)
    monkeypatch.undo()
    download(server.url, tmp_path / "a.zip", SHA256)
    assert server.asked_for() == [None, f"bytes={len(part)}-"]


def test_a_full_disk_is_noticed_before(server, tmp_path, monkeypatch):
    server.answers = [sends()]
    usage = module.shutil.disk_usage(tmp_path)._replace(free=299_999)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(UserError, match=r"has too little room for the 300000 bytes of a.zip; free some space"):
        download(server.url, tmp_path / "a.zip", SHA256)
    assert not (tmp_path / "a.zip.part").exists()


def test_nobody_listens(server, tmp_path, pauses):
    server.server.server_close()
    with pytest.raises(UserError, match=r"cannot be fetched now \(Connection refused\); try again later"):
        download(server.url, tmp_path / "a.zip", SHA256)
    assert pauses == [1, 2, 4, 8, 16] and left(tmp_path) == []


def test_the_catalogue():
    for name, dataset in fetch.DATASETS.items():
        assert re.fullmatch(r"[a-z][a-z0-9_]*", name)
        assert all([dataset.what, dataset.licence, dataset.citation]) and dataset.page.startswith("https://")
        paths = [Path(file.path) for file in dataset.files]
        assert len(set(paths)) == len(paths) > 0
        for file, path in zip(dataset.files, paths, strict=True):
            assert file.url.startswith("https://") and path.name in file.url
            assert not path.is_absolute() and ".." not in path.parts
            assert file.sha256 is None or re.fullmatch("[0-9a-f]{64}", file.sha256)
    assert set(fetch.DATASETS["isic18"].files) < set(fetch.DATASETS["isic18_parts"].files)
    with pytest.raises(UserError, match="unknown dataset 'isic19'; choose one of isic16, isic17"):
        fetch.fetch("isic19", Path())


def test_the_documentation_knows_them_all():
    text = (ROOT / "docs" / "data.md").read_text()
    for name, dataset in fetch.DATASETS.items():
        assert f"`{name}`" in text
        for reference in re.findall(r"(?:arXiv:|doi:)\S+[^\s,;]", dataset.citation)[:1]:
            assert reference in text
    for name in set(available(FORMAT[0])) - {"phantom"}:
        assert f"`{name}`" in text


def test_as_a_program(server, tmp_path, monkeypatch, capsys):
    server.answers = [sends()]
    files = (fetch.File("x/a.zip", server.url, SHA256), fetch.File("x/b.csv", server.url))
    monkeypatch.setitem(fetch.DATASETS, "mine", fetch.Dataset("My data", files, "CC0", "me, 2020", "https://a.org"))
    fetch.main(["mine", "--to", str(tmp_path)])
    assert capsys.readouterr().out.splitlines() == [
        "My data",
        "licence: CC0",
        "please cite: me, 2020",
        "about it: https://a.org",
        str(tmp_path / "x/a.zip"),
        str(tmp_path / "x/b.csv"),
    ]
    assert left(tmp_path / "x") == ["a.zip", "b.csv", "b.csv.sha256"]
