#!/bin/sh
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install -q --disable-pip-version-check deltalake==1.6.6 icechunk==1.1.21 pylance==14.0.2 pyarrow==26.0.1
PYTHONPATH=$here AWS_ACCESS_KEY_ID=key AWS_SECRET_ACCESS_KEY=secret AWS_REGION=us-east-1 AWS_DEFAULT_REGION=us-east-1 \
    "$work/env/bin/python" - <<'EOF'
# A commit is one conditional PUT. The store keeps the object but answers 503 once (or the answer is lost):
# the client sends the PUT again and gets 412, about its own object.
import re
import deltalake
import icechunk
import lance
import pyarrow
import zarr
from small_store import Store, error, report

hidden = []


def hide_one_answer(request, answer):
    if hidden and request.command == "PUT" and hidden[0] in request.where:
        hidden.clear()
        return error(503, "ServiceUnavailable")
    return answer


store = Store(after=hide_one_answer)
url = store.start()
options = {"aws_endpoint": url, "aws_allow_http": "true", "allow_http": "true"}
rows = pyarrow.table({"x": [1, 2, 3]})

deltalake.write_deltalake("s3://bucket/delta", rows, storage_options=options)
hidden.append("_delta_log/")
deltalake.write_deltalake("s3://bucket/delta", rows, mode="append", storage_options=options)
table = deltalake.DeltaTable("s3://bucket/delta", storage_options=options)
log = {path: body for path, body in store.objects.items() if "/delta/_delta_log/" in path}
files = re.findall(r'"add":{"path":"(.*?)"', "".join(body.decode() for body in log.values()))
repeated = [file for file in set(files) if files.count(file) == 2]

lance.write_dataset(rows, "s3://bucket/lance", storage_options=options)
hidden.append("_versions/")
lance.write_dataset(rows, "s3://bucket/lance", mode="append", storage_options=options)
data = lance.dataset("s3://bucket/lance", storage_options=options)

storage = icechunk.s3_storage(
    bucket="bucket", prefix="ice", endpoint_url=url, allow_http=True, force_path_style=True,
    region="us-east-1", access_key_id="key", secret_access_key="secret",
)
repository = icechunk.Repository.create(storage)
session = repository.writable_session("main")
zarr.create_array(session.store, name="a", shape=(3,), dtype="i4")
hidden.append("refs/branch.main")
try:
    session.commit("first")
    ice = "committed"
except icechunk.ConflictError:
    ice = "ConflictError"
ice_log = [entry.message for entry in repository.ancestry(branch="main")]

report(
    ["deltalake", "icechunk", "pylance"],
    "each client sees that the object is its own: deltalake at version 1, icechunk without an error",
    f"deltalake at version {table.version()}, with {len(repeated)} data file added by two commits of its log; "
    f"icechunk raises {ice}, yet its branch holds {ice_log}; pylance alone is right, at version {data.version}",
    table.version() == 2 and len(repeated) == 1 and ice == "ConflictError" and "first" in ice_log and data.version == 2,
)
EOF
