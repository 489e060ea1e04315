"""A file that is written as a whole or not at all."""

import os
import re
from pathlib import Path

import pytest

from orders_sync.exports.row_writer import ExportError
from orders_sync.exports.whole_file import whole_file


def test_the_file_is_there_at_the_end_and_only_its_owner_opens_it(tmp_path: Path) -> None:
    file = tmp_path / "orders.csv"
    file.write_text("before")
    file.chmod(0o644)
    with whole_file(file) as stream:
        stream.write(b"now")
        stream.flush()
        assert file.read_text() == "before"
    assert file.read_text() == "now"
    assert file.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [file]


def fail_half_way(file: Path, error: BaseException) -> None:
    with whole_file(file) as stream:
        stream.write(b"half")
        raise error


@pytest.mark.parametrize("error", [ValueError(), KeyboardInterrupt(), ExportError("why")], ids=repr)
def test_what_fails_on_the_way_leaves_the_file_as_it_was(tmp_path: Path, error: BaseException) -> None:
    file = tmp_path / "orders.csv"
    file.write_text("before")
    with pytest.raises(type(error)):
        fail_half_way(file, error)
    assert file.read_text() == "before"
    assert list(tmp_path.iterdir()) == [file]


def fill_the_disk(file: Path) -> None:
    with whole_file(file) as stream, open("/dev/full", "wb") as full:
        os.dup2(full.fileno(), stream.fileno())
        stream.write(b"half")


def test_a_full_disk_is_one_sentence(tmp_path: Path) -> None:
    file = tmp_path / "orders.csv"
    with pytest.raises(ExportError) as raised:
        fill_the_disk(file)
    assert str(raised.value) == f"{file} can't be written: No space left on device. What was there before is unchanged."
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_there_is_not_is_named(tmp_path: Path) -> None:
    file = tmp_path / "nowhere" / "orders.csv"
    with pytest.raises(ExportError, match=re.escape(f"there is no folder {file.parent}. Make it first.")):
        whole_file(file).__enter__()


def test_a_device_is_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.csv"
    os.mkfifo(pipe)
    for path in (pipe, Path("/dev/null")):
        with pytest.raises(ExportError, match="is no regular file, and is not replaced"):
            whole_file(path).__enter__()
    assert Path("/dev/null").is_char_device()


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real.csv").write_text("before")
    link = tmp_path / "link.csv"
    link.symlink_to("real.csv")
    with whole_file(link) as stream:
        stream.write(b"now")
    assert link.is_symlink()
    assert (tmp_path / "real.csv").read_text() == "now"
