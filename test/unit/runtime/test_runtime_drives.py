"""What the kernel says of drives, and devices that were taken out."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from objstore.runtime.drives import KernelLine, Outs, drive_that_fails, failures, kernel_lines, probe, whole_drive
from objstore.runtime.files import Files

COMPLAINTS = {
    "blk_update_request: I/O error, dev sdb, sector 1234 op 0x0:(READ) flags 0x0": "sdb",
    "I/O error, dev nvme0n1, sector 99 op 0x1:(WRITE) flags 0x800 phys_seg 1": "nvme0n1",
    "Buffer I/O error on dev sdc1, logical block 7, lost async page write": "sdc1",
    "Buffer I/O error on device dm-3, logical block 7": "dm-3",
    "sd 2:0:0:0: [sdd] tag#3 Sense Key : Medium Error [current]": "sdd",
    "sd 2:0:0:0: [sdd] Unhandled Hardware Error": "sdd",
    "EXT4-fs error (device sde1): ext4_find_entry:1455: inode #2: comm python: reading directory lblock 0": "sde1",
    "EXT4-fs (vdb): Remounting filesystem read-only": "vdb",
    "XFS (sdf1): metadata I/O error in \"xfs_trans_read_buf_map\" at daddr 0x1": "sdf1",
    "XFS (md0): Corruption detected. Unmount and run xfs_repair": "md0",
    "critical medium error, dev sdaa, sector 5": "sdaa",
    "nvme1n1: I/O Error (sct 0x2 / sc 0x81)": "nvme1n1",
    "I/O error, dev mmcblk0p1, sector 5": "mmcblk0p1",
    "mmcblk0: error -110 transferring data, sector 2048, nr 8": "mmcblk0",
    "I/O error, dev loop61, sector 5 op 0x0:(READ) flags 0x80700 phys_seg 1 prio class 2": "loop61",
    "I/O error, dev nvme0c1n1, sector 99 op 0x0:(READ)": "nvme0c1n1",
    "Aborting journal on device sda1-8.": "sda1",
    "JBD2: I/O error when updating journal superblock for loop62-8.": "loop62",
    "XFS (nvme0n1p3): Filesystem has been shut down due to log error (0x2).": "nvme0n1p3",
    "BTRFS error (device loop0): bdev /dev/loop0 errs: wr 0, rd 1, flush 0, corrupt 0, gen 0": "loop0",
    "BTRFS: error (device sdb) in btrfs_commit_transaction:2523: errno=-5 IO failure": "sdb",
    "BTRFS error (device sdb1 state A): Transaction aborted (error -5)": "sdb1",
    "BTRFS info (device sdb: state EA): forced readonly": "sdb",
    "BTRFS warning (device dm-1): csum failed root 5 ino 257 off 0 csum 0x1 expected csum 0x2 mirror 1": "dm-1",
    "BTRFS critical (device md127): corrupt leaf: root=5 block=1": "md127",
}  # fmt: skip
HARMLESS = (
    "EXT4-fs (sdb1): mounted filesystem with ordered data mode",
    "XFS (sdb1): Ending clean mount",
    "sd 2:0:0:0: [sdb] Attached SCSI disk",
    "BTRFS info (device sdb): bdev /dev/sdb errs: wr 0, rd 3, flush 0, corrupt 0, gen 0",
    "BTRFS info (device sdb): using crc32c (crc32c-intel) checksum algorithm",
    "loop61: detected capacity change from 0 to 1048576",
    "mmcblk0: mmc0:0001 SD16G 14.5 GiB",
    "usb 1-1: new high-speed USB device number 3",
    "",
)


@pytest.mark.parametrize("text", COMPLAINTS)
def test_lines_of_failing_drives_name_them(text: str) -> None:
    assert drive_that_fails(text) == COMPLAINTS[text]


@pytest.mark.parametrize("text", HARMLESS)
def test_other_lines_are_passed_over(text: str) -> None:
    assert drive_that_fails(text) is None


@pytest.mark.parametrize(
    ("name", "whole"),
    [
        ("sdb1", "sdb"),
        ("sdb", "sdb"),
        ("nvme0n1p2", "nvme0n1"),
        ("nvme0n1", "nvme0n1"),
        ("dm-3", "dm-3"),
        ("md0", "md0"),
        ("md0p1", "md0"),
        ("mmcblk0p2", "mmcblk0"),
        ("mmcblk0", "mmcblk0"),
        ("loop7p1", "loop7"),
        ("loop7", "loop7"),
    ],
)
def test_a_partition_belongs_to_its_drive(name: str, whole: str) -> None:
    assert whole_drive(name) == whole


def test_failures_are_counted_by_drive_since_a_time() -> None:
    lines = [KernelLine(at, f"I/O error, dev sdb{at}, sector 1") for at in range(1, 6)] + [KernelLine(9, HARMLESS[0])]
    found = failures(lines, 3)
    assert {drive: len(lines) for drive, lines in found.items()} == {"sdb": 3}


def test_the_kernels_log_may_be_a_text_file(tmp_path: Path) -> None:
    log = tmp_path / "kern.log"
    log.write_text("Nov 20 host kernel: I/O error, dev sdb, sector 1\nNov 20 host kernel: \xff\n")
    lines = list(kernel_lines(str(log)))
    assert [drive_that_fails(line.text) for line in lines] == ["sdb", None]
    assert {line.at for line in lines} == {os.stat(log).st_mtime}


def test_a_log_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        list(kernel_lines(str(tmp_path / "none")))


def test_a_sound_device_passes_the_probe_and_is_left_as_it_was(tmp_path: Path) -> None:
    assert probe(str(tmp_path)) == ""
    assert os.listdir(tmp_path / "tmp") == []


def test_a_device_that_is_gone_fails_the_probe(tmp_path: Path) -> None:
    assert probe(str(tmp_path / "gone")) == "No such file or directory"


class FullFiles(Files):
    """A full disk."""

    def write(self, fd: int, pieces: object) -> None:
        raise OSError(28, "No space left on device")


class LyingFiles(Files):
    """A disk that reads other than what was written."""

    def read_at(self, fd: int, buffer: bytearray | memoryview, offset: int) -> int:
        count = super().read_at(fd, buffer, offset)
        buffer[0] ^= 1
        return count


def test_a_full_disk_is_in_order(tmp_path: Path) -> None:
    assert probe(str(tmp_path), FullFiles()) == ""


def test_a_disk_that_reads_other_bytes_fails_the_probe(tmp_path: Path) -> None:
    assert "differs from the data written" in probe(str(tmp_path), LyingFiles())


def test_a_device_taken_out_stays_out_until_put_back(tmp_path: Path) -> None:
    Outs(str(tmp_path)).take_out("d1", "noise", 5.0)
    outs = Outs(str(tmp_path))
    assert "d1" in outs
    assert "d2" not in outs
    assert outs.all() == {"d1": {"why": "noise", "at": 5.0}}
    assert outs.put_back("d1")
    assert not outs.put_back("d1")
    assert outs.all() == {}


def test_a_mark_made_by_hand_counts(tmp_path: Path) -> None:
    (tmp_path / ".out").mkdir()
    (tmp_path / ".out" / "d3").touch()
    assert Outs(str(tmp_path)).all() == {"d3": {}}
