"""`objstore user`: the users of a server, changed while it runs.

All commands work on `users.json` in the data directory, under its lock. A running server
sees the change at the next request.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from typing import Any

import click
from rich import box
from rich.console import Console
from rich.table import Table

from objstore.assembly.data_dir import DataDir, credentials_user, refresh_credentials
from objstore.auth import hashing, users, users_file
from objstore.auth.users import User
from objstore.core.errors import ConfigError
from objstore.runtime.files import exists

_EXAMPLES = """\b
Examples:
  objstore user add photos:anna --data /srv/objstore --admin
  objstore user add photos:bob --data /srv/objstore --key s3cret --group editors
  objstore user list --data /srv/objstore
  objstore user rotate photos:anna --data /srv/objstore
  objstore user remove photos:bob --data /srv/objstore
"""


# Proxies check the file ten times a second (`users_check_interval`): after the command ends, the next request sees the
# change.
_UNTIL_SEEN = 0.11


@click.group(name="user", epilog=_EXAMPLES)
def user() -> None:
    """Add, list and remove users and give them new keys, even while the server runs.

    A user is named ACCOUNT:USER, logs in with a key (Swift), and has a pair of access key and secret key (S3).
    An --admin may do everything in the account; others may do what container ACLs grant them.
    """


_data = click.option(
    "--data",
    required=True,
    envvar="OBJSTORE_DATA",
    type=click.Path(exists=True, file_okay=False),
    help="Data directory of the server (or set OBJSTORE_DATA).",
)


@user.command(
    epilog="""\b
Examples:
  objstore user add photos:anna --data /srv/objstore --admin
  objstore user add backup:nightly --data /srv/objstore --admin --hash
  objstore user add photos:app --data /srv/objstore --admin --access-key APP --secret-key 0123456789
"""
)
@click.argument("name", metavar="ACCOUNT:USER")
@_data
@click.option("--key", help="Key to log in with, - to read it from standard input; generated and shown if not given.")
@click.option("--admin", is_flag=True, help="May do everything in its account.")
@click.option("--reseller-admin", is_flag=True, help="May do everything in all accounts.")
@click.option("--group", "groups", multiple=True, help="Additional group that ACLs can name; can be repeated.")
@click.option("--access-key", help="S3 access key; generated and shown if not given.")
@click.option("--secret-key", help="S3 secret key to go with --access-key.")
@click.option("--hash/--no-hash", "hash_it", default=False, help="Store only a hash of the key. S3 keys stay readable.")
@click.option("--no-groups", is_flag=True, help="With --replace: remove the user from all groups.")
@click.option(
    "--replace",
    is_flag=True,
    help="Replace an existing user: its keys, and its groups if any are given. Tokens of the old key become invalid.",
)
def add(
    name: str,
    data: str,
    key: str | None,
    admin: bool,
    reseller_admin: bool,
    groups: tuple[str, ...],
    access_key: str | None,
    secret_key: str | None,
    hash_it: bool,
    no_groups: bool,
    replace: bool,
) -> None:
    """Add a user. Generated keys are shown once."""
    if key == "-":  # hidden from the list of processes
        key = sys.stdin.readline().rstrip("\n")
    if key == "":
        raise click.UsageError("--key is empty")
    if bool(access_key) != bool(secret_key):
        raise click.UsageError("--access-key and --secret-key go together")
    chosen_key = key or users_file.new_key()
    pair = (access_key, secret_key) if access_key and secret_key else _new_pair()
    given = (*([users.ADMIN] if admin else []), *([users.RESELLER_ADMIN] if reseller_admin else []), *groups)
    if no_groups and (given or not replace):
        raise click.UsageError("--no-groups goes with --replace, and without other groups")
    with _editing(data) as known:
        if name in known and not replace:
            raise click.ClickException(f"user {name!r} exists already; --replace replaces it")
        before = known.get(name, User(name))
        made = before._replace(
            key=users_file.stored_key(chosen_key, hash_it),
            groups=given if given or no_groups else before.groups,
            access_key=pair[0],
            secret_key=pair[1],
        )
        known[name] = _checked(made)
    click.echo(f"{'replaced' if before.key or before.access_key else 'added'} {name}")
    if key is None:
        click.echo(f"key:        {chosen_key}")
    if not access_key:
        _show_pair(made)
    _tell_groups(before, made)


def _checked(made: User) -> User:
    try:
        users.check(made)
    except ValueError as error:
        raise click.ClickException(f"user {made.name!r}: {error}") from None
    return made


def _show_pair(made: User) -> None:
    click.echo(f"access key: {made.access_key}\nsecret key: {made.secret_key}")


def _tell_groups(before: User, made: User) -> None:
    """Print groups on standard error, so that scripts which read keys see only keys."""
    gone = [group for group in before.groups if group not in made.groups]
    if gone:
        click.echo(f"{made.name} is no longer in: {' '.join(gone)}", err=True)
    if not {users.ADMIN, users.RESELLER_ADMIN} & set(made.groups):
        account = made.account_override or f"AUTH_{made.project}"
        click.echo(
            f"{made.name} is not an admin of {account}: requests that no ACL allows are answered 403",
            err=True,
        )


def _new_pair() -> tuple[str, str]:
    return users_file.new_access_key(), users_file.new_secret_key()


_WIDEST = 10_000  # columns


@user.command(name="list")
@_data
@click.option("--json", "as_json", is_flag=True, help="As JSON, for scripts.")
def list_(data: str, as_json: bool) -> None:
    """List the users, without their keys."""
    path = _path(data)
    try:
        known = users_file.read_users(path) if exists(path) else {}
    except ConfigError as error:
        raise click.ClickException(str(error)) from None
    shown = [_formatted(known[name]) for name in sorted(known)]
    if as_json:
        Console(soft_wrap=True).print_json(data=shown)
        return
    table = Table(box=box.SIMPLE_HEAD)
    for column in ("USER", "ACCOUNT", "GROUPS", "ACCESS KEY", "KEY"):
        table.add_column(column, no_wrap=True)
    for one in shown:
        table.add_row(one["name"], one["account"], " ".join(one["groups"]), one["access_key"], one["key"])
    # Not wrapped: a key broken into two lines is hard to copy.
    Console(width=Console(width=_WIDEST).measure(table).maximum).print(table)


def _formatted(one: User) -> dict[str, Any]:
    kind = "-" if not one.key else "hashed" if hashing.is_hashed(one.key) else "plain"
    return {
        "name": one.name,
        "account": one.account_override or f"AUTH_{one.project}",
        "groups": list(one.groups),
        "access_key": one.access_key,
        "key": kind,
    }


@user.command()
@click.argument("name", metavar="ACCOUNT:USER")
@_data
def remove(name: str, data: str) -> None:
    """Remove a user. Its tokens and S3 keys become invalid; its data stays."""
    with _editing(data) as known:
        if name not in known:
            raise click.ClickException(f"there is no user {name!r}")
        del known[name]
    click.echo(f"removed {name}")


@user.command(
    epilog="""\b
Examples:
  objstore user rotate photos:anna --data /srv/objstore
  objstore user rotate backup:nightly --data /srv/objstore --only s3

\b
To change keys without a gap: add a second user to the account, let programs use its keys, and remove the first.
"""
)
@click.argument("name", metavar="ACCOUNT:USER")
@_data
@click.option("--only", type=click.Choice(["login", "s3"]), help="Only the key to log in with, or only the S3 keys.")
@click.option(
    "--key", help="New key to log in with, - to read it from standard input; generated and shown if not given."
)
def rotate(name: str, data: str, only: str | None, key: str | None) -> None:
    """Give a user new keys, which are shown once. The old ones and their tokens become invalid at once."""
    if key == "-":
        key = sys.stdin.readline().rstrip("\n")
    if key == "" or (key and only == "s3"):
        raise click.UsageError("--key is empty" if key == "" else "--key is no S3 key")
    chosen_key = key or users_file.new_key()
    with _editing(data) as known:
        before = known.get(name)
        if before is None:
            raise click.ClickException(f"there is no user {name!r}")
        made = before
        if only != "s3" and (before.key or only or key):
            hashed = hashing.is_hashed(before.key)
            made = made._replace(key=users_file.stored_key(chosen_key, hashed))
        if only != "login" and (before.access_key or only):
            access_key, secret_key = _new_pair()
            made = made._replace(access_key=access_key, secret_key=secret_key)
        known[name] = _checked(made)
    if credentials_user(DataDir(data)) == name:
        refresh_credentials(DataDir(data))
    click.echo(f"{name} has new keys")
    if made.key != before.key and key is None:
        click.echo(f"key:        {chosen_key}")
    if made.access_key != before.access_key:
        _show_pair(made)


def _path(data: str) -> str:
    return os.path.join(data, users_file.USERS_NAME)


@contextlib.contextmanager
def _editing(data: str) -> Iterator[dict[str, User]]:
    """Open the users for changes, with errors for operators. At the end a running server has the new users."""
    try:
        with users_file.editing(_path(data)) as known:
            yield known
        time.sleep(_UNTIL_SEEN)
    except ConfigError as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:
        raise click.ClickException(f"{error.filename or _path(data)}: {error.strerror}") from None
