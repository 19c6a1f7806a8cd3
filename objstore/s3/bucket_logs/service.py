"""The log of a worker: records go into its spool, and a pass every few seconds delivers what is due.

Delivery is best effort, as in S3: a record that finds the spool full, or whose target bucket takes no logs, is dropped,
counted and reported. Records that the store cannot take now stay in the spool.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import NamedTuple

from objstore.access.bucket import BucketDefaults
from objstore.layers.interface import ObjectLayer
from objstore.runtime import green, metrics
from objstore.runtime.seldom import Seldom
from objstore.runtime.threads import ThreadPool
from objstore.s3.bucket_logs.delivery import Delivery, LogObject, deliver, log_objects
from objstore.s3.bucket_logs.spool import ClosedFile, RecordSpool, SpooledRecord, SpoolLimits
from objstore.s3.settings import S3Settings

_LONGEST_PASS = 5.0  # seconds between two passes, and so of records that a power cut loses
_FIRST = 1.0  # seconds until the first pass: a worker starts without it


class _Counts(NamedTuple):
    delivered: metrics.Value
    dropped: metrics.Value


class BucketLogs:
    """The server access logs that a worker writes and delivers. values: with a directory for the spool."""

    def __init__(
        self,
        layer: ObjectLayer,
        values: S3Settings,
        defaults: BucketDefaults,
        logger: logging.Logger,
        registry: metrics.Metrics,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._layer = layer
        self._defaults = defaults
        self._logger = logger
        limits = SpoolLimits(values.bucket_log_object_size, values.bucket_log_interval, values.bucket_log_spool_size)
        self._spool = RecordSpool(values.bucket_log_spool, limits, now)
        self._pause = min(_LONGEST_PASS, values.bucket_log_interval / 2)
        self._pool = ThreadPool("s3-bucket-logs", 1)
        self._seldom = Seldom()
        self._counts = _Counts(
            registry.counter("objstore_s3_log_records_delivered_total", "Records of bucket logs in log objects."),
            registry.counter("objstore_s3_log_records_dropped_total", "Records of bucket logs that were dropped."),
        )

    def start(self) -> None:
        """Begin with the passes, which go on until the process ends."""
        green.later(_FIRST, green.start, self._run)

    def add(self, entry: SpooledRecord) -> None:
        """Put a record into the spool, or drop it."""
        try:
            kept, reason = self._spool.append(entry), "the spool is full (bucket_log_spool_size)"
        except OSError as error:
            kept, reason = False, str(error)
        if not kept:
            self._drop(1, "records", reason)

    def run_pass(self) -> None:
        """Sync the spool, close what is due, and deliver closed files."""
        self._pool.run(self._spool.sync)
        self._spool.roll()
        files = self._spool.closed()
        while (closed := self._pool.run(next, files, None)) is not None:
            self._deliver(closed)
        self._pool.run(self._spool.measure)

    def _run(self) -> None:
        while True:
            try:
                self.run_pass()
            except Exception as failure:
                if self._seldom.is_due("pass"):
                    unexpected = None if isinstance(failure, OSError) else failure
                    self._logger.error("bucket logs: a pass failed: %s", failure, exc_info=unexpected)
            green.sleep(self._pause)

    def _deliver(self, closed: ClosedFile) -> None:
        entries = self._pool.run(self._spool.read, closed)
        objects = self._pool.run(log_objects, entries, closed.name, closed.closed, self._defaults.region)
        outcomes = [self._delivered(log_object) for log_object in objects]
        if Delivery.DELAYED in outcomes:
            return  # the whole file again: what was delivered is not written twice
        self._pool.run(self._spool.remove, closed)
        for log_object, outcome in zip(objects, outcomes, strict=True):
            if outcome is Delivery.DELIVERED:
                self._counts.delivered.inc(log_object.records)

    def _delivered(self, log_object: LogObject) -> Delivery:
        outcome, reason = deliver(self._layer, log_object, self._defaults)
        what = f"the log of {log_object.source.container} for {log_object.logging.target}"
        if outcome is Delivery.REFUSED:
            self._drop(log_object.records, what, reason)
        elif outcome is Delivery.DELAYED and self._seldom.is_due(what):
            self._logger.warning("bucket logs: %s is delayed: %s", what, reason)
        return outcome

    def _drop(self, count: int, what: str, reason: str) -> None:
        self._counts.dropped.inc(count)
        if self._seldom.is_due((what, "dropped")):
            self._logger.warning("bucket logs: %s dropped: %s", what, reason)
