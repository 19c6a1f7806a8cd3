"""What a GET by a temporary URL costs beyond one by token: CPU time, in turns, in this process and without HTTP.

    python bench/temporary_urls.py [--rounds 100] [--requests 100]

Each round sends some requests of each kind one after the other through the pipeline of a fresh store of one device.
Shown are the medians of the rounds, and the medians of the differences within a round: the machine's speed drifts.
"""

from __future__ import annotations

import argparse
import hmac
import itertools
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

from trips import CONTENT, WARMING, Store

from objstore.runtime import green

KEYS = {"account": "secret of the account", "container": "secret of the container"}


def signed(path: str, key: str, digest: str = "sha256", prefix: str = "", more: int = 0) -> str:
    """The target of a GET by a temporary URL. more: seconds that it is valid beyond an hour."""
    expires = int(time.time()) + 3600 + more
    covered = f"prefix:{path.rpartition('/')[0]}/{prefix}" if prefix else path
    signature = hmac.new(key.encode(), f"GET\n{expires}\n{covered}".encode(), digest).hexdigest()
    further = f"&temp_url_prefix={quote(prefix)}" if prefix else ""
    return f"{path}?temp_url_sig={signature}&temp_url_expires={expires}{further}"


def kinds(store: Store) -> dict[str, Callable[[], int]]:
    """The requests, each as a call that gives the status."""
    account = store.log_in()
    token = {"X-Auth-Token": store.token}
    container = f"{account}/bench-urls"
    path = f"{container}/key00"
    store.ask("POST", account, {**token, "X-Account-Meta-Temp-Url-Key": KEYS["account"]})
    store.ask("PUT", container, {**token, "X-Container-Meta-Temp-Url-Key": KEYS["container"]})
    store.ask("PUT", path, token, CONTENT)
    store.ask("POST", container, {**token, "X-Container-Read": ".r:*"})
    time.sleep(1.1)  # look-ups of objects that changed a moment ago are not kept
    new = itertools.cycle([signed(path, KEYS["container"], more=number) for number in range(5000)])
    asks: dict[str, tuple[str, dict[str, str]]] = {
        "by token": (path, token),
        "public, without token": (path, {}),
        "URL, key of the account": (signed(path, KEYS["account"]), {}),
        "URL, key of the container": (signed(path, KEYS["container"]), {}),
        "URL, SHA-512": (signed(path, KEYS["container"], "sha512"), {}),
        "URL, prefix and filename": (signed(path, KEYS["container"], prefix="key") + "&filename=a.txt", {}),
    }
    requests = {name: lambda ask=ask: store.ask("GET", *ask)[0] for name, ask in asks.items()}  # type: ignore[misc]
    return {**requests, "URL, another one each time": lambda: store.ask("GET", next(new))[0]}


def measure(requests: dict[str, Callable[[], int]], rounds: int, count: int) -> dict[str, list[float]]:
    """Microseconds of CPU for a request of each kind, by rounds. Raises AssertionError if one is refused."""
    for request in requests.values():
        for _ in range(WARMING):
            assert (status := request()) == 200, status
    spent: dict[str, list[float]] = {name: [] for name in requests}
    for _ in range(rounds):
        for name, request in requests.items():
            began = time.process_time()
            for _ in range(count):
                request()
            spent[name].append(1e6 * (time.process_time() - began) / count)
    return spent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--requests", type=int, default=100, help="of each kind in a round")
    options = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="temporary-urls-"))
    try:

        def run() -> None:
            found = measure(kinds(Store(root / "data")), options.rounds, options.requests)
            for name, costs in found.items():
                more = statistics.median(cost - token for cost, token in zip(costs, found["by token"], strict=True))
                print(f"GET 4 KiB {name:28} {statistics.median(costs):6.1f} us CPU  {more:+6.1f}")

        green.spawn(run).wait()
    finally:
        shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    main()
