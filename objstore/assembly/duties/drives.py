"""The daemon that takes failing disks out."""

from __future__ import annotations

import os
from functools import partial

from objstore.assembly.surroundings import TOLD_SETTINGS, Duty, Surroundings, Work
from objstore.daemon.duties.drive_audit import DriveAudit, Means, Rules
from objstore.daemon.runner import Pace
from objstore.runtime import drives, recon_files
from objstore.runtime.settings import Setting, duration, positive

_SETTINGS = (
    Setting("drive_audit_interval", duration, "1m", "pause between looks at all devices"),
    Setting("drive_audit_log", str.strip, drives.KERNEL_MESSAGES, "the kernel's messages: /dev/kmsg, or a log file"),
    Setting("drive_audit_errors", positive, "10", "errors of a drive in the kernel's log that are too many"),
    Setting("drive_audit_window", duration, "1h", "the time in which they are"),
    Setting("drive_audit_probes", positive, "3", "failures in a row to write and read a small file that are too many"),
    Setting("drive_audit_patience", duration, "30s", "how long that may take"),
    Setting("drive_audit_most", int, "1", "devices that may be out at a time before the operator has to decide"),
)


def _drive_audit(around: Surroundings) -> Work:
    values = around.read(_SETTINGS)
    root = around.devices.root
    directory = recon_files.directory(around.read(TOLD_SETTINGS).recon_cache_path, root)
    means = Means(
        devices=lambda: {name: os.path.join(root, name) for name, _ in around.available()},
        lines=partial(drives.kernel_lines, values.drive_audit_log),
        drives=partial(drives.drives_of, root),
        probe=drives.probe,
        outs=drives.Outs(root),
        tell=partial(recon_files.write, directory, "driveaudit"),
    )
    rules = Rules(
        values.drive_audit_errors,
        values.drive_audit_window,
        values.drive_audit_probes,
        values.drive_audit_patience,
        values.drive_audit_most,
    )
    audit = DriveAudit(means, rules, around.logger)
    return Work(audit.passes, Pace(values.drive_audit_interval), audit.told)


DRIVE_AUDIT = Duty("drive-audit", _SETTINGS, _drive_audit)
