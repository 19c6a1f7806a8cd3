"""Errors on the terminal: one line and an exit status, never a traceback for an error that a user can fix."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import click

from objstore.core.errors import ObjstoreError


class CommandFailure(click.ClickException):
    """Printed as `Error: <message>`; the command ends with status 2."""

    exit_code = 2


@contextmanager
def clean_errors() -> Iterator[None]:
    """Turn our own errors, and those of the operating system, into a Failure."""
    try:
        yield
    except ObjstoreError as error:
        raise CommandFailure(str(error) or type(error).__name__) from error
    except BrokenPipeError:
        raise  # click exits quietly if the reader of our output is gone
    except OSError as error:
        raise CommandFailure(f"{error.filename}: {error.strerror}" if error.filename else str(error)) from error
