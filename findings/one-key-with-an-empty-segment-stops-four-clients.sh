#!/bin/sh
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install -q --disable-pip-version-check \
    obstore==0.12.1 polars==2.1.0 deltalake==1.6.6 pylance==14.0.2 pyarrow==26.0.1
PYTHONPATH=$here AWS_ACCESS_KEY_ID=key AWS_SECRET_ACCESS_KEY=secret AWS_REGION=us-east-1 "$work/env/bin/python" - <<'EOP'
# S3 takes keys such as `data//notes.txt`. Someone stores a text file under one beside the data of each client.
import http.client
import io
import urllib.parse

import lance
import obstore
import polars
import pyarrow
import pyarrow.fs
import pyarrow.parquet
from deltalake import DeltaTable, write_deltalake
from obstore.store import S3Store
from small_store import Store, report

url = Store().start()
address = urllib.parse.urlsplit(url).netloc


def put(path, body=b"notes"):
    connection = http.client.HTTPConnection(address)
    connection.request("PUT", path, body)
    assert connection.getresponse().status == 200
    connection.close()


def outcome(call):
    try:
        return f"works ({call()})"
    except Exception as error:
        assert "contained empty path segment" in str(error), error
        return type(error).__name__


table = pyarrow.table({"a": [1, 2, 3]})
parquet = io.BytesIO()
pyarrow.parquet.write_table(table, parquet)
keys = {"aws_access_key_id": "key", "aws_secret_access_key": "secret", "aws_region": "us-east-1"}
options = {**keys, "aws_endpoint_url": url, "aws_allow_http": "true"}
lance_options = {**keys, "aws_endpoint": url, "allow_http": "true"}

put("/bucket/polars/one.parquet", parquet.getvalue())
write_deltalake("s3://bucket/delta", table, storage_options=options)
lance.write_dataset(table, "s3://bucket/lance", storage_options=lance_options)
bucket = S3Store("bucket", endpoint=url, region="us-east-1", client_options={"allow_http": True})
arrow = pyarrow.fs.S3FileSystem(endpoint_override=url, scheme="http", access_key="key", secret_key="secret")

calls = {
    "obstore list": lambda: sum(len(rows) for rows in obstore.list(bucket, prefix="polars")),
    "polars scan_parquet": lambda: polars.scan_parquet("s3://bucket/polars/*.parquet", storage_options=options)
    .collect()
    .height,
    "deltalake full vacuum": lambda: len(
        DeltaTable("s3://bucket/delta", storage_options=options).vacuum(
            retention_hours=0, enforce_retention_duration=False, dry_run=True, full=True
        )
    ),
    "lance open": lambda: lance.dataset("s3://bucket/lance", storage_options=lance_options).version,
    "pyarrow list": lambda: len(arrow.get_file_info(pyarrow.fs.FileSelector("bucket/polars", recursive=True))),
}
before = {name: outcome(call) for name, call in calls.items()}
for path in ("polars//", "delta//", "lance/_versions//"):
    put(f"/bucket/{path}notes.txt")
after = {name: outcome(call) for name, call in calls.items()}
stopped = [name for name, result in after.items() if not result.startswith("works")]
report(
    ["obstore", "polars", "deltalake", "pylance", "pyarrow"],
    f"the other object is listed or passed over: {before}",
    f"one key with an empty segment makes the whole call fail: {after}",
    all(result.startswith("works") for result in before.values())
    and stopped == ["obstore list", "polars scan_parquet", "deltalake full vacuum", "lance open"],
)
EOP
