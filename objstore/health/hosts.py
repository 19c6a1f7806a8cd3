"""The reports of all hosts of a store: over HTTP, or read from the data directory of `objstore serve`."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from objstore.assembly.data_dir import HOST, DataDir, is_served
from objstore.assembly.inside import Inside
from objstore.health.probe import TIMEOUT, ServerAnswer, ask, servers_of
from objstore.ring import Ring
from objstore.runtime import recon_files
from objstore.runtime.host_report import Host, Paths


class HostReport(NamedTuple):
    """The report of a host. ip: as in the rings. summary: /recon/summary, None if none of its servers answers.
    silent: servers that did not answer, and the reason. offset: seconds by which its clock is ahead of ours, None
    if unknown."""

    ip: str
    summary: Mapping[str, Any] | None
    silent: Mapping[str, str]
    offset: float | None = None


def gather(found: Inside, rings: Sequence[tuple[str, Ring]], timeout: float = TIMEOUT) -> list[HostReport]:
    """Return a report of each host of the rings, by address. timeout: seconds for each server."""
    if found.devices is not None:
        root = found.devices.root
        recon = recon_files.directory(found.conf.get("recon_cache_path", ""), root)
        paths = Paths(root, found.directory, recon, mount_check=False)
        served = is_served(DataDir(os.path.dirname(found.directory)))
        silent = {} if served else {"objstore serve": "it is not running"}
        return [HostReport(HOST, Host(paths, _ring_version).summary(), silent)]
    began = time.time()
    answers = ask(servers_of(rings), "summary", timeout)
    return reports(answers.values(), (began + time.time()) / 2)


def _ring_version(path: str) -> int:
    return Ring.load(path).version


def reports(answers: Sequence[ServerAnswer] | Any, asked: float) -> list[HostReport]:
    """Return the reports of hosts. asked: time of the answers, by our clock."""
    by_ip: dict[str, list[ServerAnswer]] = {}
    for answer in answers:
        by_ip.setdefault(answer.server.ip, []).append(answer)
    return [_report(ip, of_host, asked) for ip, of_host in sorted(by_ip.items())]


def _report(ip: str, answers: Sequence[ServerAnswer], asked: float) -> HostReport:
    """Combine the answers of a host's servers: they see the same devices, so one answer suffices, except for their
    daemons."""
    summaries = [answer.report for answer in answers if isinstance(answer.report, dict)]
    silent = {
        f"{answer.server.kind} server at {answer.server}": answer.error for answer in answers if not answer.report
    }
    if not summaries:
        return HostReport(ip, None, silent)
    daemons = {name: state for summary in summaries for name, state in summary.get("daemons", {}).items()}
    return HostReport(ip, {**summaries[0], "daemons": daemons}, silent, summaries[0].get("time", asked) - asked)
