"""What disks with faults need of the machine, and what of it is missing.

python -m harness.disks.needs        prints what is missing; exit status 1 if something is
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

_PROGRAMS = {
    "gcc": "gcc",
    "pkg-config": "pkg-config",
    "fusermount": "fuse",
    "losetup": "mount",
    "mkfs.ext4": "e2fsprogs",
    "filefrag": "e2fsprogs",
    "mkfs.xfs": "xfsprogs",
    "mkfs.btrfs": "btrfs-progs",
}  # by the Debian package that has them
_DEVICES = ("/dev/fuse", "/dev/loop-control")


def missing() -> list[str]:
    """Sentences, none if all is there."""
    found = [] if os.geteuid() == 0 else ["only root can mount file systems"]
    found += [f"there is no {path}" for path in _DEVICES if not os.path.exists(path)]
    packages = {package for program, package in _PROGRAMS.items() if shutil.which(program) is None}
    if not _has_headers():
        packages.add("libfuse-dev")
    if packages:
        found.append(f"programs are missing: apt-get install {' '.join(sorted(packages))}")
    return found


def _has_headers() -> bool:
    """Are the headers of FUSE there?"""
    if shutil.which("pkg-config") is None:
        return False
    return subprocess.run(["pkg-config", "--exists", "fuse"], check=False).returncode == 0


if __name__ == "__main__":
    reasons = missing()
    print("\n".join(reasons))
    sys.exit(bool(reasons))
