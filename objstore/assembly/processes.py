"""Server processes: configuration files and pipelines loaded, privileges dropped, apps served until told to end."""

from __future__ import annotations

import configparser
import contextlib
import logging
import os
import resource
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from paste.deploy import loadwsgi

from objstore.core.errors import ConfigError, ObjstoreError
from objstore.http.server import Server, ServerSettings
from objstore.runtime import collector, green, settings
from objstore.runtime.files import exists
from objstore.runtime.workers import Worker
from objstore.web.requests import WsgiApp

CANNOT_START = 2  # exit status of a process whose configuration is wrong

# What PasteDeploy raises for files that do not fit together. Factories raise ConfigError.
_PASTE_ERRORS = (configparser.Error, LookupError, ValueError, ImportError)


def serve_app(worker: Worker, app: WsgiApp, conf: Mapping[str, str], logger: logging.Logger) -> None:
    """Serve until the supervisor says otherwise; then let running requests end. conf: the section of the server."""
    options = settings.read(ServerSettings, conf, "server")
    collector.take_over()
    collecting = green.spawn(collector.collect_every, options.collect_interval)
    servers = [Server(sock, app, options, logger) for sock in worker.sockets]
    for server in servers:
        green.spawn(server.serve)
    worker.ready()
    worker.wait_for_drain()
    waits = [green.spawn(server.drain) for server in servers]
    for wait in waits:
        wait.wait()
    green.kill(collecting)


def open_conf(path: str) -> loadwsgi.ConfigLoader:
    """A configuration file as PasteDeploy reads it, `%(here)s` being its directory; raises ConfigError."""
    try:
        return loadwsgi.ConfigLoader(os.path.abspath(path))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except (configparser.Error, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {_one_line(error)}") from None


def read_defaults(path: str) -> dict[str, str]:
    """The `[DEFAULT]` section of a configuration file, which all its apps and filters share; raises ConfigError."""
    with paste_errors(path):
        defaults: dict[str, str] = open_conf(path).parser.defaults()
        return defaults


def process_defaults(etc: str) -> dict[str, str]:
    """The `[DEFAULT]` section that says as whom the servers of this host run, of a configuration's directory."""
    paths = (os.path.join(etc, name) for name in ("object-server.conf", "proxy-server.conf"))
    path = next((path for path in paths if exists(path)), None)
    return read_defaults(path) if path else {}


def load_pipeline(path: str, overrides: Mapping[str, str] | None = None) -> Any:
    """The app of a configuration file, in its filters. overrides: stand before `[DEFAULT]`. Raises ConfigError."""
    with paste_errors(path):
        return loadwsgi.loadapp(_uri(path), global_conf=dict(overrides or {}))


def import_pipeline(path: str) -> None:
    """Import what a pipeline is made of, so that processes forked later share it; raises ConfigError."""
    with paste_errors(path):
        loadwsgi.loadcontext(loadwsgi.APP, _uri(path))


def _uri(path: str) -> str:
    return f"config:{os.path.abspath(path)}"


@contextlib.contextmanager
def paste_errors(path: str) -> Iterator[None]:
    """What PasteDeploy raises becomes a ConfigError that names the file."""
    try:
        yield
    except OSError as error:
        raise ConfigError(f"{error.filename or path}: {error.strerror}") from None
    except _PASTE_ERRORS as error:
        text = _one_line(error)
        raise ConfigError(text if path in text else f"{path}: {text}") from error


def _one_line(error: BaseException) -> str:
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    return " ".join(text.split()) or type(error).__name__


def run_apart(function: Callable[[], None]) -> None:
    """Run in a process of its own, so that what it imports and opens stays out of this one.

    Raises ConfigError with the message of what it raised.
    """
    read_fd, write_fd = os.pipe()
    pid = os.fork()
    if not pid:
        code = 1
        try:
            os.close(read_fd)
            function()
            code = 0
        except (ObjstoreError, OSError) as error:
            os.write(write_fd, str(error).encode("utf-8", "replace")[:4096])
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(code)
    os.close(write_fd)
    with open(read_fd, "rb") as pipe:
        message = pipe.read().decode()
    _, status = os.waitpid(pid, 0)
    if status:
        raise ConfigError(message or "the process that was to prepare this has failed")


def raise_file_limit() -> None:
    """Allow as many open files as the system lets this process have: each connection and reader needs one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def tell_systemd(state: str) -> None:
    """Tell the service manager, where it asked for it (sd_notify(3)): `READY=1`."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.sendto(state.encode(), f"\0{address[1:]}" if address.startswith("@") else address)
