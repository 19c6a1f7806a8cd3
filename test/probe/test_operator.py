"""What operators see of a cluster that is hurt, and what they do about it, by the commands they have for it."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from harness import faults
from harness.client import Client
from harness.cluster import Cluster
from harness.ledger import Ledger, load
from harness.processes import command, run, wait_until

SECONDS = 60.0
UNDER_WAY = 3  # exit status of `objstore status`


def ask(cluster: Cluster, *arguments: str) -> tuple[int, str]:
    """Exit status and output of a command about the cluster."""
    done = subprocess.run(
        command(*arguments, "--ring-dir", str(cluster.etc)), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode != 2, done.stderr
    return done.returncode, done.stdout


def problems(cluster: Cluster) -> list[str]:
    """Findings of `objstore status` that somebody has to do something about, but what other tests put in quarantine."""
    told = json.loads(ask(cluster, "status", "--json")[1])
    found = [f"{each['where']}: {each['what']}" for each in told["problems"] if each["severity"] != "note"]
    return [each for each in found if "quarantine" not in each]


def device(cluster: Cluster, host: int) -> dict[str, Any]:
    told = json.loads(ask(cluster, "status", "--json")[1])
    (found,) = [each for each in told["devices"] if each["host"] == f"127.0.0.{host}"]
    return dict(found)


def test_status_tells_of_a_server_that_is_away_and_all_is_well_when_it_is_back(cluster: Cluster) -> None:
    wait_until(lambda: not problems(cluster), "all to be well", SECONDS)
    server = cluster.servers["container", 2]
    server.kill()
    (problem,) = [each for each in problems(cluster) if "daemons" not in each]
    assert problem.startswith("127.0.0.2: container server at 127.0.0.2:"), problem
    assert ask(cluster, "status")[0] == 1
    cluster.mend()
    wait_until(lambda: not problems(cluster), "all to be well again", SECONDS)


def test_one_host_may_be_stopped_while_all_others_are_up(cluster: Cluster) -> None:
    wait_until(lambda: ask(cluster, "ok-to-stop", "127.0.0.3")[0] == 0, "copies to be whole", SECONDS)
    cluster.servers["object", 2].stop()
    status, output = ask(cluster, "ok-to-stop", "127.0.0.3")
    assert status == 1
    assert output.endswith("NOT ok to stop\n")
    assert ask(cluster, "ok-to-stop", "127.0.0.2")[0] == 0, "what is away already may be stopped"


def test_no_other_host_may_stop_until_one_that_came_back_has_what_it_missed(
    cluster: Cluster, client: Client, ledger: Ledger
) -> None:
    """It said yes, and `status` that all is well, while copies written in the meantime were missing on that host."""
    assert ask(cluster, "status", "--wait", "--timeout", "60")[0] != UNDER_WAY
    for kind in ("object", "container", "account"):
        cluster.servers[kind, 2].stop()
    with load(cluster.client, ledger, writers=3) as stop:
        wait_until(lambda: ledger.count > 30, "objects", SECONDS)
        stop.set()
    # Otherwise the copies might be whole before both questions are asked.
    (replicators,) = cluster.servers["object", 4].daemons()
    replicators.suspend()
    cluster.start()
    answer = ask(cluster, "ok-to-stop", "127.0.0.3")
    told = json.loads(ask(cluster, "status", "--json")[1])
    replicators.resume()
    assert answer[0] == 1, answer
    assert "may lack copies" in answer[1]
    assert not told["copies_whole"]
    status, output = ask(cluster, "status", "--wait", "--timeout", "60")
    assert status != UNDER_WAY, output
    assert ask(cluster, "ok-to-stop", "127.0.0.3")[0] == 0


def test_a_disk_taken_out_by_hand_is_not_missed_and_is_filled_when_it_is_back(
    cluster: Cluster, client: Client, ledger: Ledger
) -> None:
    with load(cluster.client, ledger, writers=3) as stop:
        wait_until(lambda: ledger.count > 20, "objects", SECONDS)
        run("disk", "out", "d1", "--why", "noise", "--devices", str(cluster.devices(2)))
        told = "127.0.0.2/d1: was taken out: noise"
        wait_until(lambda: any(each.startswith(told) for each in problems(cluster)), "status to tell", SECONDS)
        before = ledger.count
        wait_until(lambda: ledger.count > before + 20, "more objects", SECONDS)
        stop.set()
    assert not ledger.failures
    assert device(cluster, 2)["state"] == "taken out"
    run("disk", "in", "d1", "--devices", str(cluster.devices(2)))
    wait_until(lambda: device(cluster, 2)["state"] == "ok", "the disk to be used", SECONDS)


def test_a_drained_host_is_emptied_under_load_and_filled_again_when_given_back(
    cluster: Cluster, client: Client, ledger: Ledger
) -> None:
    for builder in sorted(cluster.etc.glob("*.builder")):
        run("ring", "pretend-min-part-hours-passed", str(builder))
    with load(cluster.client, ledger, writers=2) as stop:
        wait_until(lambda: ledger.count > 20, "objects", SECONDS)
        ask(cluster, "drain", "127.0.0.4")
        wait_until(lambda: device(cluster, 4)["partitions"] == 0, "the host to be empty", 2 * SECONDS)
        stop.set()
    assert device(cluster, 4)["draining"]
    for builder in sorted(cluster.etc.glob("*.builder")):
        run("ring", "pretend-min-part-hours-passed", str(builder))
    ask(cluster, "drain", "127.0.0.4", "--back")
    wait_until(lambda: device(cluster, 4)["partitions"] > 0, "the host to be filled", 2 * SECONDS)
    assert not ledger.failures


def test_samples_tell_of_copies_that_are_missing_until_they_are_made_anew(cluster: Cluster) -> None:
    ask(cluster, "dispersion", "populate", "--coverage", "5")
    assert ask(cluster, "dispersion", "report")[0] == 0
    mend = faults.unmount(cluster, 1)
    status, output = ask(cluster, "dispersion", "report")
    assert status == 1
    assert "127.0.0.1:" in output
    mend()
    faults.lose(cluster, 1)
    wait_until(lambda: ask(cluster, "dispersion", "report")[0] == 0, "all copies to be there", 2 * SECONDS)
