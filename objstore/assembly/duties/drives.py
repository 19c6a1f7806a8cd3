"""The daemon that takes failing disks out."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial

from objstore.assembly.surroundings import Duty, Surroundings, Work
from objstore.daemon.duties.drive_audit import DriveAudit, DriveChecks, DriveRules
from objstore.daemon.runner import DaemonPace
from objstore.runtime import drives, recon_files
from objstore.runtime.settings import duration, positive, setting, table


@dataclass(frozen=True)
class DriveAuditSettings:
    """Settings of `drive-audit`."""

    drive_audit_interval: float = setting(duration, "1m", "interval between checks of all devices")
    drive_audit_log: str = setting(str.strip, drives.KERNEL_MESSAGES, "the kernel's messages: /dev/kmsg, or a log file")
    drive_audit_errors: int = setting(positive, "10", "number of errors in the kernel's log that takes a drive out")
    drive_audit_window: float = setting(duration, "1h", "time window in which these errors count")
    drive_audit_probes: int = setting(
        positive, "3", "number of failed write/read checks in a row that takes a drive out"
    )
    drive_audit_patience: float = setting(duration, "30s", "timeout of a write/read check")
    drive_audit_most: int = setting(
        int, "1", "number of devices that may be out at once; beyond it the operator decides"
    )


def _drive_audit(around: Surroundings) -> Work:
    values = around.read(DriveAuditSettings)
    root = around.devices.root
    directory = recon_files.directory(around.read(recon_files.ReconSettings).recon_cache_path, root)
    means = DriveChecks(
        devices=lambda: {name: os.path.join(root, name) for name, _ in around.available()},
        lines=partial(drives.kernel_lines, values.drive_audit_log),
        drives=partial(drives.drives_of, root),
        probe=drives.probe,
        outs=drives.Outs(root),
        report=partial(recon_files.write, directory, "driveaudit"),
    )
    rules = DriveRules(
        values.drive_audit_errors,
        values.drive_audit_window,
        values.drive_audit_probes,
        values.drive_audit_patience,
        values.drive_audit_most,
    )
    audit = DriveAudit(means, rules, around.logger)
    return Work(audit.passes, DaemonPace(values.drive_audit_interval), audit.status)


DRIVE_AUDIT = Duty("drive-audit", table(DriveAuditSettings), _drive_audit)
