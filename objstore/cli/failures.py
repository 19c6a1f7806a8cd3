"""Errors on the terminal: one line and an exit status, never a traceback for what a user can mend."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import click

from objstore.core.errors import ObjstoreError


class Failure(click.ClickException):
    """Printed as `Error: <message>`; the command ends with status 2."""

    exit_code = 2


@contextmanager
def clean_errors() -> Iterator[None]:
    """Errors raised on purpose, and those of the operating system, become a Failure."""
    try:
        yield
    except ObjstoreError as error:
        raise Failure(str(error) or type(error).__name__) from error
    except BrokenPipeError:
        raise  # click ends quietly where the reader of our output has gone
    except OSError as error:
        raise Failure(f"{error.filename}: {error.strerror}" if error.filename else str(error)) from error
