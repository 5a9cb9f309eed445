"""Fetching files from a server on this machine: whole, resumed, corrupt, missing, slow, full disk."""

from __future__ import annotations

import errno
import hashlib
import importlib
import io
import os
import shutil
import threading
import time
from collections import namedtuple
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional

import numpy as np
import official_files as official
import pytest
from official_files import SPECS

from gluon_nrm.data import DataSource
from gluon_nrm.data.fetch import download
from gluon_nrm.data.fetch.download import fetch
from gluon_nrm.data.fetch.official_files import BY_HAND, REMOTE, Remote
from gluon_nrm.data.readers import mnist
from gluon_nrm.data.sets import registry
from gluon_nrm.errors import DataError
from gluon_nrm.storage.files import FileLock

CONTENT = np.random.default_rng(0).bytes(300_000)


class Server(ThreadingHTTPServer):
    """Serves ``files`` and notes each request's path and range; misbehaves as told."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: Dict[str, bytes] = {}
        self.asked: List[Any] = []
        self.breaks_after: Optional[int] = None  # bytes of an answer
        self.ranges = True
        self.pause, self.stall = 0.0, 0.0  # seconds between pieces; once, after the first piece

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        server: Any = self.server
        wanted = self.headers.get("Range")
        server.asked.append((self.path, wanted))
        data = server.files.get(self.path)
        if data is None:
            self.send_error(404)
            return
        start = int(wanted[len("bytes=") : -1]) if wanted and server.ranges else 0
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        end = len(data)
        if server.breaks_after is not None:
            end = min(end, start + server.breaks_after)
        for place in range(start, end, 50_000):
            try:
                self.wfile.write(data[place : min(place + 50_000, end)])
            except OSError:
                return
            # at once: whoever asks again meanwhile shall not meet the same silence
            stall, server.stall = server.stall, 0.0
            time.sleep(server.pause + stall)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(download, "PAUSE", 0.01)
    with Server() as made:
        threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        made.files["/data/a.bin"] = CONTENT
        yield made
        made.shutdown()


def remote(server: Server, *more: str, content: bytes = CONTENT) -> Remote:
    folders = (*more, f"{server.address}/data")
    return Remote("a.bin", len(content), hashlib.sha256(content).hexdigest(), folders)


def contents(folder: Path) -> Dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != ".lock"}


def test_whole(server: Server, tmp_path: Path) -> None:
    said = io.StringIO()
    path = fetch(remote(server), tmp_path / "new", stream=said)
    assert contents(tmp_path / "new") == {"a.bin": CONTENT} and path == tmp_path / "new" / "a.bin"
    assert server.asked == [("/data/a.bin", None)]
    for part in ("a.bin", "100 %", "293k", "B/s"):
        assert part in said.getvalue()
    # what is there is left alone
    before = path.stat().st_mtime_ns
    fetch(remote(server), tmp_path / "new")
    assert len(server.asked) == 1 and path.stat().st_mtime_ns == before


@pytest.mark.parametrize("have", [1, 123_457, len(CONTENT) - 1, len(CONTENT)])
def test_resumed(have: int, server: Server, tmp_path: Path) -> None:
    (tmp_path / "a.bin.part").write_bytes(CONTENT[:have])
    fetch(remote(server), tmp_path, stream=io.StringIO())
    assert contents(tmp_path) == {"a.bin": CONTENT}
    assert server.asked == ([("/data/a.bin", f"bytes={have}-")] if have < len(CONTENT) else [])


def test_resumed_from_a_server_without_ranges(server: Server, tmp_path: Path) -> None:
    server.ranges = False
    (tmp_path / "a.bin.part").write_bytes(b"x" * 1000)
    fetch(remote(server), tmp_path, stream=io.StringIO())
    assert contents(tmp_path) == {"a.bin": CONTENT}


def test_a_server_that_breaks_off_is_asked_to_go_on(server: Server, tmp_path: Path) -> None:
    server.breaks_after = 70_000
    fetch(remote(server), tmp_path, stream=io.StringIO())
    assert contents(tmp_path) == {"a.bin": CONTENT}
    rest = [f"bytes={have}-" for have in range(70_000, 280_001, 70_000)]
    assert [wanted for _, wanted in server.asked] == [None, *rest]


def test_a_server_that_gives_nothing_more_is_given_up_and_what_came_is_kept(
    server: Server, tmp_path: Path
) -> None:
    fetch_once = remote(server)
    (tmp_path / "a.bin.part").write_bytes(CONTENT[:10])
    server.breaks_after = 0
    with pytest.raises(DataError, match="a.bin: the connection broke") as caught:
        fetch(fetch_once, tmp_path, stream=io.StringIO())
    assert contents(tmp_path) == {"a.bin.part": CONTENT[:10]}
    assert len(server.asked) == download.ATTEMPTS
    message = str(caught.value)
    assert len(message.splitlines()) == 2
    assert f"put it at {tmp_path / 'a.bin'} by hand (SHA-256 {fetch_once.sha256})" in message
    server.breaks_after = None
    fetch(fetch_once, tmp_path, stream=io.StringIO())
    assert contents(tmp_path) == {"a.bin": CONTENT} and server.asked[-1][1] == "bytes=10-"


def test_corrupt(server: Server, tmp_path: Path) -> None:
    """The next server is asked, from the start; nothing corrupt stays."""
    bad = bytearray(CONTENT)
    bad[1000] ^= 1
    server.files["/bad/a.bin"] = bytes(bad)
    with pytest.raises(DataError, match="/bad/a.bin: the SHA-256 of the download is not"):
        fetch(remote(server)._replace(folders=(f"{server.address}/bad",)), tmp_path, stream=io.StringIO())
    assert contents(tmp_path) == {}
    fetch(remote(server, f"{server.address}/bad"), tmp_path, stream=io.StringIO())
    assert contents(tmp_path) == {"a.bin": CONTENT}
    assert [path for path, _ in server.asked] == ["/bad/a.bin", "/bad/a.bin", "/data/a.bin"]


def test_a_corrupt_part_is_fetched_anew(server: Server, tmp_path: Path) -> None:
    (tmp_path / "a.bin.part").write_bytes(b"x" * 1000)
    both = remote(server, f"{server.address}/data/")
    fetch(both, tmp_path, stream=io.StringIO())
    assert contents(tmp_path) == {"a.bin": CONTENT}
    assert [wanted for _, wanted in server.asked] == ["bytes=1000-", None]


@pytest.mark.parametrize("other", [CONTENT + b"x", CONTENT[:-1], b""])
def test_another_file(other: bytes, server: Server, tmp_path: Path) -> None:
    server.files["/data/a.bin"] = other
    with pytest.raises(DataError, match=rf"the file there has {len(other)} bytes, not {len(CONTENT)}"):
        fetch(remote(server), tmp_path, stream=io.StringIO())
    assert contents(tmp_path) in ({}, {"a.bin.part": b""})


def test_missing_on_all_servers_names_each(server: Server, tmp_path: Path) -> None:
    server.files.clear()
    nowhere = "http://127.0.0.1:9/x"
    with pytest.raises(DataError) as caught:
        fetch(remote(server, nowhere), tmp_path, mirror=f"{server.address}/mine/", stream=io.StringIO())
    message = str(caught.value)
    assert f"{server.address}/mine/a.bin: Not Found; {nowhere}/a.bin: [Errno" in message
    assert f"{server.address}/data/a.bin: Not Found" in message
    assert [path for path, _ in server.asked] == ["/mine/a.bin", "/data/a.bin"]
    assert contents(tmp_path) == {}


def test_a_mirror_is_asked_first(server: Server, tmp_path: Path) -> None:
    server.files["/mine/a.bin"] = CONTENT
    fetch(remote(server), tmp_path, mirror=f"{server.address}/mine", stream=io.StringIO())
    assert server.asked == [("/mine/a.bin", None)]
    (tmp_path / "of a disk").mkdir()
    (tmp_path / "of a disk" / "a.bin").write_bytes(CONTENT)
    fetch(remote(server), tmp_path / "2", mirror=(tmp_path / "of a disk").as_uri(), stream=io.StringIO())
    assert contents(tmp_path / "2") == {"a.bin": CONTENT}


def test_slow(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Slow is no failure; silence is, and then the same server is asked to go on."""
    monkeypatch.setattr(download, "PATIENCE", 0.8)
    server.pause = 0.05
    fetch(remote(server), tmp_path, stream=io.StringIO())
    assert contents(tmp_path) == {"a.bin": CONTENT} and len(server.asked) == 1
    server.pause, server.stall = 0.0, 2.0
    fetch(remote(server), tmp_path / "2", stream=io.StringIO())
    assert contents(tmp_path / "2") == {"a.bin": CONTENT}
    assert [wanted for _, wanted in server.asked[1:]] == [None, "bytes=50000-"]


def test_another_file_of_that_name_is_left_alone(server: Server, tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"mine")
    with pytest.raises(DataError, match="a.bin is not the official file: .* move it away"):
        fetch(remote(server), tmp_path)
    assert contents(tmp_path) == {"a.bin": b"mine"} and server.asked == []


def test_a_part_longer_than_the_file(server: Server, tmp_path: Path) -> None:
    (tmp_path / "a.bin.part").write_bytes(CONTENT + b"x")
    fetch(remote(server), tmp_path, stream=io.StringIO())
    assert contents(tmp_path) == {"a.bin": CONTENT}


def test_a_part_that_cannot_be_removed(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    (tmp_path / "a.bin.part").write_bytes(CONTENT + b"x")
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", refuse)
        with pytest.raises(DataError, match="cannot remove .*a.bin.part: Permission denied"):
            fetch(remote(server), tmp_path, stream=io.StringIO())


def test_a_part_that_is_a_pipe_is_refused(server: Server, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.bin.part")
    with pytest.raises(DataError, match="cannot write .*a.bin.part: it is a named pipe, no regular file"):
        fetch(remote(server), tmp_path, stream=io.StringIO())


def test_a_disk_too_small(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(0, 0, 2**20))
    with pytest.raises(DataError, match="5 MiB are needed, and the disk has 1 MiB free; free some"):
        fetch(remote(server, content=bytes(5 * 2**20)), tmp_path)
    assert server.asked == [] and contents(tmp_path) == {}


def test_a_disk_that_fills_up(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server.pause = 0.02
    written = 0

    def open_(path: Path, mode: str) -> Any:
        nonlocal written
        written += 1
        if written > 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        return open(path, mode)

    with monkeypatch.context() as patch:
        patch.setattr(download, "open_file", open_)
        with pytest.raises(DataError, match="cannot write .*a.bin.part: No space left on device; free some"):
            fetch(remote(server), tmp_path, stream=io.StringIO())
    kept = contents(tmp_path)["a.bin.part"]
    assert 0 < len(kept) < len(CONTENT) and CONTENT.startswith(kept)
    fetch(remote(server), tmp_path, stream=io.StringIO())
    assert contents(tmp_path) == {"a.bin": CONTENT} and server.asked[-1][1] == f"bytes={len(kept)}-"


def test_two_at_once(server: Server, tmp_path: Path) -> None:
    other = FileLock(tmp_path / ".lock")
    assert other.acquire()
    with pytest.raises(DataError, match="a.bin is being fetched by process"):
        fetch(remote(server), tmp_path)
    other.release()
    fetch(remote(server), tmp_path, stream=io.StringIO())


def test_a_folder_that_cannot_be_made(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot make .*file/sub: Not a directory"):
        fetch(remote(server), tmp_path / "file" / "sub")


def test_every_official_file_is_named_once() -> None:
    files = [each for table in (REMOTE, BY_HAND) for remotes in table.values() for each in remotes]
    # MNIST and Fashion-MNIST name their files alike
    assert len({each.sha256 for each in files}) == len(files) == 14
    for table in (REMOTE, BY_HAND):
        assert all(len({each.name for each in remotes}) == len(remotes) for remotes in table.values())
    for each in files:
        assert len(each.sha256) == 64 and int(each.sha256, 16) and each.size > 1000
        assert len(each.folders) >= 2 and not any(folder.endswith("/") for folder in each.folders)


# The tool


@pytest.fixture
def small_mnist(server: Server, monkeypatch: pytest.MonkeyPatch) -> Dict[str, bytes]:
    """MNIST of 30 and 20 images, on the server, with their sums in place of the official ones."""
    files = official.mnist(SPECS["mnist"])
    server.files.update({f"/mnist/{name}": data for name, data in files.items()})
    sums = tuple(
        Remote(name, len(data), hashlib.sha256(data).hexdigest(), (f"{server.address}/mnist",))
        for name, data in files.items()
    )
    monkeypatch.setitem(REMOTE, "mnist", sums)
    monkeypatch.setitem(registry._LOADERS, "mnist", lambda source: mnist.read_mnist(SPECS["mnist"], source))
    return files


def run(*arguments: str) -> int:
    return importlib.import_module("gluon_nrm.cli.data").main(list(arguments))


def test_prepare_data(
    small_mnist: Dict[str, bytes], server: Server, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    data = ("--data-dir", str(tmp_path))
    assert run("mnist", *data) == 0
    summary = "mnist: 30 training and 20 test images of (1, 28, 28) in 10 classes\n"
    assert capsys.readouterr().out == summary
    assert contents(tmp_path / "mnist") == small_mnist
    assert len(server.asked) == 4
    # again: nothing is asked; with one file missing, that one is
    assert run("mnist", *data) == 0 and len(server.asked) == 4
    (tmp_path / "mnist" / "t10k-labels-idx1-ubyte.gz").unlink()
    assert run("mnist", *data) == 0 and len(server.asked) == 5
    assert capsys.readouterr().out == 2 * summary


def test_prepare_data_of_files_put_by_hand(
    small_mnist: Dict[str, bytes], server: Server, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    for name, content in small_mnist.items():
        (tmp_path / name).write_bytes(content)
    assert run("mnist", "--data-dir", str(tmp_path)) == 0 and server.asked == []
    (tmp_path / "t10k-labels-idx1-ubyte.gz").write_bytes(small_mnist["train-labels-idx1-ubyte.gz"])
    with pytest.raises(DataError, match="t10k-labels-idx1-ubyte.gz is not the official file"):
        run("mnist", "--data-dir", str(tmp_path))


def test_list(small_mnist: Dict[str, bytes], tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "train-labels-idx1-ubyte.gz").write_bytes(b"")
    assert run("--list", "--data-dir", str(tmp_path)) == 0
    said = capsys.readouterr().out
    for remotes in REMOTE.values():
        for each in remotes:
            assert each.sha256 in said and f"{each.folders[0]}/{each.name}" in said
    assert f"{tmp_path / 'svhn' / 'train_32x32.mat'}: missing\n" in said
    assert f"{tmp_path / 'train-labels-idx1-ubyte.gz'}: there\n" in said
    assert "imagenet cannot be fetched" in said
    assert run("mnist", "--list", "--data-dir", str(tmp_path)) == 0
    assert "svhn" not in capsys.readouterr().out


def test_what_cannot_be_prepared(small_mnist: Dict[str, bytes], tmp_path: Path) -> None:
    for name, message in (
        ("imagenet", f"train.rec, train.idx, val.rec and val.idx.*into {tmp_path / 'imagenet'}"),
        ("cifar", "no data set called 'cifar'; did you mean 'cifar1"),
        ("folder", "data.path: give the folder"),
    ):
        with pytest.raises(DataError, match=f"(?s){message}"):
            run(name, "--data-dir", str(tmp_path))
    with pytest.raises(DataError, match="nothing is known of 'folder' without its files"):
        run("folder", "--list")
    with pytest.raises(SystemExit):
        run()
    with pytest.raises(SystemExit):
        run("mnist", "--splits")
    assert DataSource(tmp_path).folder("a") == tmp_path / "a"
