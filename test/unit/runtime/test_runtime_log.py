"""Logs: destinations, lines, rotation."""

import logging
import os
import socket

import pytest

from objstore.core.errors import ConfigError
from objstore.runtime import green, log, settings


def values(**conf: str):
    return settings.read(log.LogSettings, conf)


def test_a_message_of_a_request_ends_in_its_transaction_id(tmp_path):
    logger = log.get_logger(values(log_to=str(tmp_path / "log"), log_name="test-one"))
    logger.warning("disk %s is slow", "sda", extra={"trans_id": "tx1"})
    line = (tmp_path / "log").read_text()
    assert line.endswith(f"test-one[{os.getpid()}] WARNING disk sda is slow (txn: tx1)\n")


def test_a_traceback_stays_on_one_line(tmp_path):
    logger = log.get_logger(values(log_to=str(tmp_path / "log"), log_name="test-two"))
    try:
        raise KeyError("x")
    except KeyError:
        logger.exception("failed")
    text = (tmp_path / "log").read_text()
    assert text.count("\n") == 1 and "KeyError" in text


def test_asking_twice_does_not_double_lines_and_a_moved_file_is_opened_anew(tmp_path):
    wanted = values(log_to=str(tmp_path / "log"), log_name="test-three")
    log.get_logger(wanted).error("one")
    os.rename(tmp_path / "log", tmp_path / "log.1")
    log.get_logger(wanted).error("two")
    assert (tmp_path / "log.1").read_text().count("\n") == (tmp_path / "log").read_text().count("\n") == 1


def test_the_level_holds(tmp_path):
    logger = log.get_logger(values(log_to=str(tmp_path / "log"), log_name="test-four", log_level="ERROR"))
    logger.info("quiet")
    assert not logger.isEnabledFor(logging.INFO) and (tmp_path / "log").read_text() == ""


@pytest.mark.parametrize(
    "conf", [{"log_to": "nowhere"}, {"log_level": "LOUD"}, {"log_to": "/dev/null/x", "log_name": "test-five"}]
)
def test_wrong_settings_are_named(conf):
    with pytest.raises(ConfigError, match=next(iter(conf))):
        log.get_logger(values(**conf))


def test_access_lines_follow_a_rotated_file(tmp_path):
    path = tmp_path / "access"
    lines = log.FileLines(str(path), watch=0.0)
    lines.write("one")
    path.rename(tmp_path / "access.1")
    lines.write("two")
    assert path.read_text() == "two\n" and (tmp_path / "access.1").read_text() == "one\n"


def test_a_line_that_cannot_be_written_is_counted_not_raised():
    lines = log.FileLines("/dev/full")
    lines.write("lost")
    assert lines.lost == 1


def test_syslog_lines_are_datagrams_and_a_dead_daemon_costs_nothing(tmp_path):
    path = str(tmp_path / "log.sock")
    writer = log.line_writer(values(log_to="syslog", log_address=path, log_facility="local1", log_name="access"))
    writer.write("too early")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as daemon:
        daemon.bind(path)
        writer.write("a line")
        assert daemon.recv(1000) == b"<142>access: a line"
    assert writer.lost == 1


def test_a_file_that_grew_too_large_is_moved_aside_once(tmp_path):
    path = tmp_path / "access.log"
    writers = [log.FileLines(str(path), watch=0.0, most=100) for _ in range(2)]
    for number in range(12):
        for writer in writers:
            writer.write(f"line {number:04d}")
    kept = (tmp_path / "access.log.1").read_text() + path.read_text()
    assert path.stat().st_size < 200
    assert kept.count("line 0011") == 2


def test_lines_of_a_short_while_share_a_write(tmp_path):
    path = tmp_path / "access.log"
    lines = log.DelayedLines(log.FileLines(str(path)), delay=0.01)
    lines.write("one")
    lines.write("two")
    assert path.read_text() == ""
    green.sleep(0.05)
    assert path.read_text() == "one\ntwo\n"
    lines.write("three")
    logging.shutdown()  # with which every process ends
    assert path.read_text().endswith("three\n")


RAW = "a\nb\x1b[2J\x9b\x7f\u202e\udcffé\t"
SAFE = "a#012b#033[2J#233#177#u202e#377é#011"


def test_nothing_that_clients_choose_ends_a_line_or_moves_a_cursor(tmp_path):
    """Names with escape sequences reached logs, and the terminals of those who read them, as they were."""
    assert log.one_line(RAW) == SAFE
    assert log.one_line("plain é") == "plain é"
    path = str(tmp_path / "log")
    logger = log.get_logger(values(log_to=path, log_name="raw"))
    logger.error("%s", RAW, extra={"trans_id": RAW})
    text = (tmp_path / "log").read_text()
    assert text.endswith(f"{SAFE} (txn: {SAFE})\n")


def test_access_lines_are_escaped_in_files_and_for_syslog(tmp_path):
    path = tmp_path / "access"
    lines = log.FileLines(str(path))
    lines.write(RAW)
    green.after_fork()
    delayed = log.DelayedLines(lines, 0.01)
    delayed.write(RAW)
    delayed.write("next")
    delayed.flush()
    assert path.read_text() == f"{SAFE}\n{SAFE}\nnext\n"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as daemon:
        daemon.bind(str(tmp_path / "dev-log"))
        log.SyslogLines(str(tmp_path / "dev-log"), 16, "objstore").write(RAW)
        assert daemon.recv(1000).decode().endswith(f"objstore: {SAFE}")
