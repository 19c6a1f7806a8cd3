#!/bin/sh
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install -q --disable-pip-version-check tensorstore==0.1.86
PYTHONPATH=$here AWS_ACCESS_KEY_ID=key AWS_SECRET_ACCESS_KEY=secret AWS_REGION=us-east-1 AWS_DEFAULT_REGION=us-east-1 \
    "$work/env/bin/python" - <<'EOF'
# Delete a value if it is still the one that was written; another writer replaces it meanwhile.
import tensorstore
from small_store import Store, report


def another_writer(request, answer):
    if request.command == "HEAD":
        store.put("/bucket/k", b"newer, of another writer")
    return answer


store = Store(after=another_writer)
kv = tensorstore.KvStore.open({
    "driver": "s3", "bucket": "bucket", "endpoint": store.start(), "aws_region": "us-east-1",
    "aws_credentials": {"type": "anonymous"},
}).result()
generation = kv.write("k", b"older").result().generation
kv.write("k", None, if_equal=generation).result()
sent = [(method, headers.get("If-Match")) for method, _, _, headers in store.requests]
report(
    ["tensorstore"],
    "DELETE with If-Match, as its conditional writes have it: the newer value stays",
    f"requests and their If-Match: {sent}; objects left: {len(store.objects)}",
    sent[-1] == ("DELETE", None) and not store.objects,
)
EOF
