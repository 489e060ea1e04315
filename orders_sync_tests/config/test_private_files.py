"""What holds buyers' data is closed to other users."""

import stat
from pathlib import Path

import pytest

from orders_sync.config.environment import state_folder, sync_log_file
from orders_sync.config.private_files import NoFolderError, private_file, private_folder


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_folder_that_others_may_open_is_closed_with_its_files(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    logs.mkdir(mode=0o755)
    (logs / "sync.log").write_text("a line")
    (logs / "sync.log").chmod(0o664)
    outside = tmp_path / "outside.log"
    outside.touch()
    outside.chmod(0o644)
    (logs / "link.log").symlink_to(outside)
    private_folder(logs)
    assert [mode(logs), mode(logs / "sync.log"), mode(outside)] == [0o700, 0o600, 0o644]


def test_a_strict_folder_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir(mode=0o500)
    assert mode(private_folder(tmp_path / "logs", passable=True)) == 0o500


def test_a_file_is_made_closed_and_an_open_one_is_closed(tmp_path: Path) -> None:
    file = tmp_path / "lock"
    for _ in range(2):
        with open(file, "w", opener=private_file) as opened:
            opened.write("text")
        assert (mode(file), file.read_text()) == (0o600, "text")
        file.chmod(0o666)


def test_the_log_is_made_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORDERS_SYNC_STATE", str(tmp_path / "state"))
    log = sync_log_file()
    assert [mode(log), mode(log.parent)] == [0o600, 0o700]
    assert mode(log.parent.parent) & 0o066 == 0


def test_a_state_folder_that_is_used_for_more_stays_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Closing /tmp or a folder above a home folder would lock other programs out."""
    monkeypatch.setenv("ORDERS_SYNC_STATE", str(tmp_path))
    tmp_path.chmod(0o1777)
    assert mode(state_folder()) == 0o1777
    tmp_path.chmod(0o755)
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    assert mode(state_folder()) == 0o755
    assert mode(sync_log_file().parent) == 0o700


@pytest.mark.parametrize("name", ["file", "file/folder"])
def test_a_file_where_a_folder_is_to_be_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NoFolderError, match=f"{name} can't be made: it, or what it is to be in, is a file"):
        private_folder(tmp_path / name)
