#!/bin/sh
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install -q --disable-pip-version-check openstacksdk==4.22.0
PYTHONPATH=$here AWS_ACCESS_KEY_ID=key AWS_SECRET_ACCESS_KEY=secret AWS_REGION=us-east-1 AWS_DEFAULT_REGION=us-east-1 \
    "$work/env/bin/python" - <<'EOF'
# create_object() with use_slo=False uploads segments under NAME/ and a dynamic manifest for them.
import json
import tempfile
import openstack
from small_store import Store, report

INFO = {"swift": {"max_file_size": 5 << 30}, "slo": {"min_segment_size": 1}}


def swift(request):
    if request.where == "/info":
        return 200, {"Content-Type": "application/json"}, json.dumps(INFO).encode()
    if request.command == "PUT":
        store.put(request.where, request.body)
        return 201, {}, b""
    return None


store = Store(before=swift)
url = store.start() + "/v1/AUTH_a"
cloud = openstack.connect(auth_type="none", object_store_endpoint_override=url)
with tempfile.NamedTemporaryFile() as file:
    file.write(b"x" * 1000)
    file.flush()
    cloud.create_object("c", "log1", file.name, segment_size=500, use_slo=False)
cloud.create_object("c", "log10", data=b"another object of the same container")
manifest = next(h["X-Object-Manifest"] for _, _, _, h in store.requests if "X-Object-Manifest" in h)
names = sorted(path.removeprefix("/v1/AUTH_a/") for path in store.objects)
report(
    ["openstacksdk"],
    "X-Object-Manifest: c/log1/, which names the segments alone",
    f"X-Object-Manifest: {manifest}; objects that it names: {[name for name in names if name.startswith(manifest)]}",
    manifest == "c/log1",
)
EOF
