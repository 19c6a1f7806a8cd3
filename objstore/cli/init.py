"""`objstore init`: the configuration and rings of a cluster from a few options."""

from __future__ import annotations

import os

import click

from objstore.assembly import cluster_dir
from objstore.assembly.cluster_dir import ClusterPlan, PlannedHost
from objstore.assembly.kinds import KINDS
from objstore.auth.users import User
from objstore.core.errors import InvalidInput

EXAMPLES = """\b
Examples:
  objstore init ./cluster --host 10.0.0.1 --host 10.0.0.2 --host 10.0.0.3 --devices-per-host 4
  objstore init ./cluster --host r1z1-10.0.0.1 --host r1z2-10.0.1.1 --host r2z1-10.1.0.1
  objstore init ./cluster --host 10.0.0.1 --devices-per-host 3 --policy gold --policy silver
  objstore init ./try --host 127.0.0.1 --host 127.0.0.2 --replicas 2 --devices /tmp/try --no-mount-check
"""


class HostParam(click.ParamType[PlannedHost]):
    name = "HOST"

    def convert(
        self, value: str | PlannedHost, param: click.Parameter | None, ctx: click.Context | None
    ) -> PlannedHost:
        if isinstance(value, PlannedHost):
            return value
        try:
            return cluster_dir.parse_host(value)
        except InvalidInput as error:
            self.fail(str(error), param, ctx)


@click.command(epilog=EXAMPLES)
@click.argument("directory", metavar="DIR", type=click.Path(file_okay=False))
@click.option(
    "--host",
    "hosts",
    type=HostParam(),
    multiple=True,
    required=True,
    help="A storage host, [r<region>z<zone>-]<ip>[:<port>]; may be repeated. Its object, container and account"
    " server use the port and the two after it.  [default port: 6200]",
)
@click.option(
    "--devices-per-host",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Number of devices of a host, named d1, d2, ...",
)
@click.option(
    "--replicas",
    type=click.IntRange(1),
    default=None,
    help="Number of copies of all data. [default: 3, or fewer if there are fewer devices]",
)
@click.option(
    "--part-power",
    type=click.IntRange(1, 32),
    default=None,
    help="Number of partitions is 2^N. [default: from the number of devices]",
)
@click.option("--policy", "policies", multiple=True, help="Name of a storage policy; the first is the default.")
@click.option(
    "--devices", default="/srv/node", show_default=True, help="Directory under which hosts mount their devices."
)
@click.option(
    "--mount-check/--no-mount-check", default=True, show_default=True, help="Refuse devices that are not mounted."
)
@click.option(
    "--proxy-port", type=click.IntRange(1, 65535), default=8080, show_default=True, help="Port of the proxies."
)
def init(
    directory: str,
    hosts: tuple[PlannedHost, ...],
    devices_per_host: int,
    replicas: int | None,
    part_power: int | None,
    policies: tuple[str, ...],
    devices: str,
    mount_check: bool,
    proxy_port: int,
) -> None:
    """Create the configuration and rings of a cluster in DIR; copy it to all hosts.

    The hash salt, the part power and the policies are permanent. Hosts, devices and replicas can be changed later with
    `objstore ring`.
    """
    count = len(hosts) * devices_per_host
    plan = ClusterPlan(
        hosts=hosts,
        devices=devices_per_host,
        replicas=replicas or min(3, count),
        part_power=part_power or cluster_dir.usual_part_power(count),
        policies=policies or ClusterPlan._field_defaults["policies"],
        devices_root=os.path.abspath(devices),
        mount_check=mount_check,
        proxy_port=proxy_port,
    )
    user = cluster_dir.make(directory, plan)
    click.echo(_summary(directory, plan, user))


def _summary(directory: str, plan: ClusterPlan, user: User) -> str:
    host = plan.hosts[0]
    ip = f"[{host.ip}]" if ":" in host.ip else host.ip
    endpoint = f"http://{ip}:{plan.proxy_port}"
    paths = " ".join(os.path.join(plan.devices_root, name) for name in plan.device_names)
    servers = "\n".join(f"       objstore-{kind.server} /etc/objstore/{kind.conf_name}" for kind in KINDS.values())
    ports = ", ".join(f"{kind} {host.port + offset}" for kind, offset in cluster_dir.PORT_OFFSETS.items())
    return f"""\
A cluster of {len(plan.hosts)} hosts with {plan.devices} devices each, {plan.replicas:g} replicas,\
 2^{plan.part_power} partitions, is configured in {directory}.

  first user   {user.name}  key {user.key}
  S3           access key {user.access_key}  secret key {user.secret_key}

Next steps:
  1. Copy {directory} to /etc/objstore on every host. It holds secrets: `chown -R` it to the servers' user.
  2. On every storage host, mount its disks (xfs or ext4) at {paths}
  3. On every host, check it and start the servers ({ports}, proxy {plan.proxy_port}), or those of its role:
       objstore config check /etc/objstore/*.conf
{servers}
  4. Try it:
       curl -i -H 'X-Auth-User: {user.name}' -H 'X-Auth-Key: {user.key}' {endpoint}/auth/v1.0
"""
