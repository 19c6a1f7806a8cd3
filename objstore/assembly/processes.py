"""Server processes: load configuration files and pipelines, drop privileges, serve apps until stopped."""

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

# Exceptions of PasteDeploy for inconsistent files. Factories raise ConfigError.
_PASTE_ERRORS = (configparser.Error, LookupError, ValueError, ImportError)


def serve_app(worker: Worker, app: WsgiApp, conf: Mapping[str, str], logger: logging.Logger) -> None:
    """Serve until the supervisor stops it; then finish running requests. conf: the section of the server."""
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
    """Open a configuration file as PasteDeploy reads it, `%(here)s` being its directory; raises ConfigError."""
    try:
        return loadwsgi.ConfigLoader(os.path.abspath(path))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except (configparser.Error, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {_one_line(error)}") from None


def read_defaults(path: str) -> dict[str, str]:
    """Return the `[DEFAULT]` section of a configuration file, shared by all its apps and filters; raises
    ConfigError."""
    with paste_errors(path):
        defaults: dict[str, str] = open_conf(path).parser.defaults()
        return defaults


def process_defaults(etc: str) -> dict[str, str]:
    """Return the `[DEFAULT]` section with the user of this host's servers, from a configuration directory."""
    paths = (os.path.join(etc, name) for name in ("object-server.conf", "proxy-server.conf"))
    path = next((path for path in paths if exists(path)), None)
    return read_defaults(path) if path else {}


def load_pipeline(path: str, overrides: Mapping[str, str] | None = None) -> Any:
    """Load the app of a configuration file with its filters. overrides: take precedence over `[DEFAULT]`. Raises
    ConfigError."""
    with paste_errors(path):
        return loadwsgi.loadapp(_uri(path), global_conf=dict(overrides or {}))


def import_pipeline(path: str) -> None:
    """Import the modules of a pipeline, so that processes forked later share them; raises ConfigError."""
    with paste_errors(path):
        loadwsgi.loadcontext(loadwsgi.APP, _uri(path))


def _uri(path: str) -> str:
    return f"config:{os.path.abspath(path)}"


@contextlib.contextmanager
def paste_errors(path: str) -> Iterator[None]:
    """Turn exceptions of PasteDeploy into a ConfigError that names the file."""
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
    """Run a function in a separate process, so that its imports and open files stay out of this one.

    Raises ConfigError with the message of its exception.
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
        raise ConfigError(message or "the process that prepares this has failed")


def raise_file_limit() -> None:
    """Raise the limit of open files to the maximum: each connection and reader needs one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def tell_systemd(state: str) -> None:
    """Notify the service manager, if it asked for it (sd_notify(3)): `READY=1`."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.sendto(state.encode(), f"\0{address[1:]}" if address.startswith("@") else address)
