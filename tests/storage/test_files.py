"""Atomic writing and locks between processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import List

import pytest

from gluon_nrm.errors import DataError
from gluon_nrm.storage import files


def names(folder: Path) -> List[str]:
    return sorted(path.name for path in folder.iterdir())


def test_atomic_path_keeps_the_old_file_when_the_body_fails(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    files.write_text(path, "old")

    def interrupted() -> None:
        with files.atomic_path(path) as temporary:
            assert temporary.parent == path.parent
            assert temporary.suffix == path.suffix
            temporary.write_text("half", encoding="utf-8")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert (path.read_text(encoding="utf-8"), names(tmp_path)) == ("old", ["a.json"])


def test_atomic_path_follows_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link.json").symlink_to(tmp_path / "real" / "a.json")
    files.write_text(tmp_path / "link.json", json.dumps({"a": "ä"}, ensure_ascii=False))
    assert (tmp_path / "link.json").is_symlink()
    assert (tmp_path / "real" / "a.json").read_text(encoding="utf-8") == '{"a": "ä"}'


def test_a_write_replaces_the_whole_file(tmp_path: Path) -> None:
    for data in (b"a long first version", b"short", b""):
        files.write_bytes(tmp_path / "a", data)
        assert (tmp_path / "a").read_bytes() == data
    assert names(tmp_path) == ["a"]


def test_the_contents_are_on_the_disk_before_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: List[str] = []
    fsync, replace = os.fsync, os.replace

    def recorded_fsync(descriptor: int) -> None:
        calls.append("fsync")
        fsync(descriptor)

    def recorded_replace(old: Path, new: Path) -> None:
        calls.append("replace")
        replace(old, new)

    monkeypatch.setattr(os, "fsync", recorded_fsync)
    monkeypatch.setattr(os, "replace", recorded_replace)
    files.write_text(tmp_path / "a", "text")
    assert calls == ["fsync", "replace", "fsync"]


def test_os_errors_say_what_where_why_and_the_remedy(tmp_path: Path) -> None:
    def write() -> None:
        with files.os_errors(DataError, "write", tmp_path / "none" / "a"):
            files.write_text(tmp_path / "none" / "a", "text")

    with pytest.raises(DataError) as caught:
        write()
    reason = "No such file or directory; check that the folder exists"
    assert str(caught.value) == f"cannot write {tmp_path / 'none' / 'a'}: {reason}"


def test_remove_temporaries_leaves_all_else(tmp_path: Path) -> None:
    for name in ("keep", ".tmp", ".hidden"):
        (tmp_path / name).write_text("mine", encoding="utf-8")
    files.temporary_path(tmp_path / "file").write_text("half", encoding="utf-8")
    files.temporary_path(tmp_path / "folder").mkdir()
    files.remove_temporaries(tmp_path, only_folders=True)
    assert len(names(tmp_path)) == 4
    files.remove_temporaries(tmp_path)
    assert names(tmp_path) == [".hidden", ".tmp", "keep"]
    files.remove_temporaries(tmp_path / "not there")


def test_a_lock_excludes_until_it_is_released(tmp_path: Path) -> None:
    first, second = files.FileLock(tmp_path / ".lock"), files.FileLock(tmp_path / ".lock")
    assert first.acquire()
    assert not second.acquire()
    assert second.holder().startswith(f"process {os.getpid()} on ")
    first.release()
    first.release()
    assert second.acquire()
    second.release()


def test_a_lock_is_given_back_though_a_child_has_its_descriptor(tmp_path: Path) -> None:
    lock = files.FileLock(tmp_path / ".lock")
    assert lock.acquire()
    assert lock._descriptor is not None
    command = [sys.executable, "-c", "input()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=[lock._descriptor]) as child:
        lock.release()
        assert files.FileLock(tmp_path / ".lock").acquire()
        child.communicate(b"\n")
