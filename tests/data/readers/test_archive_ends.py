"""An archive whose header says more than comes is refused at once: tarfile would step over it for ever."""

from __future__ import annotations

import gzip
import tarfile
import time
from pathlib import Path

import pytest

from gluon_nrm.data.readers.archives import read_files
from gluon_nrm.errors import DataError


@pytest.mark.parametrize("size", [2**40, 2**55, 2**62])
@pytest.mark.parametrize("name", ["other/a.txt", "folder/b.bin"])
def test_a_file_of_any_size_in_a_header(size: int, name: str, tmp_path: Path) -> None:
    member = tarfile.TarInfo(name)
    member.size = size
    path = tmp_path / "a.tar.gz"
    path.write_bytes(gzip.compress(member.tobuf(tarfile.GNU_FORMAT) + bytes(1024)))
    start = time.monotonic()
    with pytest.raises(DataError) as caught:
        read_files(path, "folder", ["b.bin"], 1000)
    assert time.monotonic() - start < 5 and len(str(caught.value).splitlines()) == 1
