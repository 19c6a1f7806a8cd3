#!/bin/sh
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install -q --disable-pip-version-check icechunk==1.1.21 zarr==3.1.6 tensorstore==0.1.86
PYTHONPATH=$here AWS_ACCESS_KEY_ID=key AWS_SECRET_ACCESS_KEY=secret AWS_REGION=us-east-1 AWS_DEFAULT_REGION=us-east-1 \
    "$work/env/bin/python" - <<'EOF'
# The store answers each PUT with a quoted ETag. What do clients send back to replace that object?
import icechunk
import tensorstore
import zarr
from small_store import Store, report

store = Store()
url = store.start()
storage = icechunk.s3_storage(
    bucket="bucket", prefix="ice", endpoint_url=url, allow_http=True, force_path_style=True,
    region="us-east-1", access_key_id="key", secret_access_key="secret",
)
session = icechunk.Repository.create(storage).writable_session("main")
zarr.create_array(session.store, name="a", shape=(3,), dtype="i4")
session.commit("first")

kv = tensorstore.KvStore.open({
    "driver": "s3", "bucket": "bucket", "endpoint": url, "aws_region": "us-east-1",
    "aws_credentials": {"type": "anonymous"},
}).result()
generation = kv.write("k", b"1").result().generation
kv.write("k", b"2", if_equal=generation).result()

sent = {
    "icechunk" if "/ice/" in path else "tensorstore": headers["If-Match"]
    for method, path, _, headers in store.requests
    if method == "PUT" and "If-Match" in headers
}
report(
    ["icechunk", "tensorstore"],
    'If-Match: "..." in quotes, as the store gave the ETag and as RFC 9110 (8.8.3) has it',
    f"If-Match as sent: {sent}; a store that compares by the letter refuses every commit of icechunk",
    sent["icechunk"].strip('"') == sent["icechunk"] and sent["tensorstore"].startswith('"'),
)
EOF
