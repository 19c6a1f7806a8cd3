#!/bin/sh
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
chmod 755 .
apt-get download -qq nginx=1.22.1-9+deb12u11 2>/dev/null
dpkg -x nginx_*.deb .
python3 -m venv env
env/bin/pip install -q --disable-pip-version-check boto3==1.44.8
PYTHONPATH=$here AWS_ACCESS_KEY_ID=key AWS_SECRET_ACCESS_KEY=secret env/bin/python - <<'EOF'
# nginx caches what a store answers. A client asks for the metadata of an object, signed, as all SDKs do.
import pathlib
import socket
import subprocess
import time
import boto3
from small_store import Store, report


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def nginx(extra):
    port = free_port()
    folders = " ".join(f"{kind}_temp_path {kind};" for kind in ("proxy", "client_body", "fastcgi", "uwsgi", "scgi"))
    place = f"location / {{ proxy_pass {url}; proxy_cache zone; {extra} }}"
    configuration = pathlib.Path(f"nginx{port}.conf")
    configuration.write_text(
        f"daemon off; master_process off; pid {port}.pid; error_log errors; events {{}} http {{ access_log off; "
        f"proxy_cache_path cache{port} keys_zone=zone:1m; {folders} server {{ listen 127.0.0.1:{port}; {place} }} }}"
    )
    here = pathlib.Path.cwd()
    process = subprocess.Popen([here / "usr/sbin/nginx", "-p", here, "-e", "errors", "-c", configuration.absolute()])
    processes.append(process)
    for _ in range(50):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.1)
    return f"http://127.0.0.1:{port}"


processes = []
store = Store()
url = store.start()
store.put("/bucket/o", b"x" * 1000)
seen = {}
try:
    for extra in ("", "proxy_cache_convert_head off;"):
        client = boto3.client("s3", endpoint_url=nginx(extra), region_name="us-east-1")
        store.requests.clear()
        client.head_object(Bucket="bucket", Key="o")
        seen[extra or "proxy_cache alone"] = [
            method + (" with the signature of HEAD" if "Authorization" in headers and method != "HEAD" else "")
            for method, _, _, headers in store.requests
        ]
finally:
    for process in processes:
        process.terminate()
        process.wait()
print("nginx 1.22.1-9+deb12u11 (Debian 12)")
report(
    ["boto3"],
    "the store gets HEAD",
    f"the store gets {seen}; a store that checks signatures answers 403 to each GET of these",
    list(seen.values()) == [["GET with the signature of HEAD"], ["HEAD"]],
)
EOF
