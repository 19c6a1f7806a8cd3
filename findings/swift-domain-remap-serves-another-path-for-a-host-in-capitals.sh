#!/bin/sh
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install -q --disable-pip-version-check swift==2.38.3 pyeclib==1.8.0 eventlet==0.41.3
"$work/env/bin/python" -W ignore - <<'EOF'
# Names of hosts are the same in any case (RFC 4343), and may end with a dot. Swift's domain_remap compares the storage
# domain as text: for the same host in another spelling it passes the request on with the path as it is, so that an
# object that exists is answered as a path that is none.
from importlib.metadata import version

from swift.common.middleware.domain_remap import filter_factory
from swift.common.swob import Request


def app(environ, start_response):
    start_response("200 OK", [])
    return [environ["PATH_INFO"].encode()]


remap = filter_factory({}, storage_domain="example.com")(app)
hosts = ["c.AUTH-a.example.com", "c.AUTH-a.example.com:8080", "c.AUTH-a.Example.com", "c.AUTH-a.EXAMPLE.COM",
         "c.AUTH-a.example.com."]
served = {host: Request.blank("/o", environ={"HTTP_HOST": host}).get_response(remap).body.decode() for host in hosts}
print("swift", version("swift"))
for host, path in served.items():
    print(f"  {host:28} {path}")
assert [path for path in served.values()] == ["/v1/AUTH_a/c/o"] * 2 + ["/o"] * 3, served
EOF
