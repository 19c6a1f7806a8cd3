#!/bin/sh
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install -q --disable-pip-version-check s3fs==2026.9.0 pyarrow==26.0.1 obstore==0.12.1 'cloudpathlib[s3]==0.26.0' 'smart_open[s3]==9.0.2'
PYTHONPATH=$here AWS_ACCESS_KEY_ID=key AWS_SECRET_ACCESS_KEY=secret AWS_REGION=us-east-1 AWS_DEFAULT_REGION=us-east-1 \
    "$work/env/bin/python" - <<'EOF'
# with open("s3://bucket/name", "wb") as file: write the first half; then the program raises an error.
import cloudpathlib
import obstore
import boto3
import pyarrow.fs
import s3fs
import smart_open
from obstore.fsspec import FsspecStore
from small_store import Store, report

store = Store()
url = store.start()
keys = {"access_key_id": "key", "secret_access_key": "secret"}
local = {"endpoint": url, "client_options": {"allow_http": True}, "region": "us-east-1"}
arrow = pyarrow.fs.S3FileSystem(access_key="key", secret_key="secret", endpoint_override=url, region="us-east-1")
fsspec = s3fs.S3FileSystem(key="key", secret="secret", endpoint_url=url)
rust = obstore.store.S3Store("bucket", virtual_hosted_style_request=False, **local, **keys)
cloud = cloudpathlib.S3Client(endpoint_url=url)
client = boto3.client("s3", endpoint_url=url)
writers = {
    "s3fs": lambda: fsspec.open("bucket/o", "wb"),
    "pyarrow": lambda: arrow.open_output_stream("bucket/o"),
    "obstore.fsspec": lambda: FsspecStore("s3", **local, **keys).open("bucket/o", "wb"),
    "cloudpathlib": lambda: cloud.CloudPath("s3://bucket/o").open("wb"),
    "smart_open": lambda: smart_open.open("s3://bucket/o", "wb", transport_params={"client": client}),
    "obstore": lambda: obstore.open_writer(rust, "o"),
}
seen = {}
for name, writer in writers.items():
    try:
        with writer() as file:
            file.write(b"first half")
            raise RuntimeError("the program fails")
    except RuntimeError:
        seen[name] = len(store.objects.pop("/bucket/o", b""))
report(
    ["s3fs", "pyarrow", "obstore", "cloudpathlib", "smart_open"],
    "an error inside `with` aborts the upload: no object (smart_open and obstore's own writer do so)",
    f"bytes stored under the final name after the error: {seen}",
    [name for name, size in seen.items() if size] == ["s3fs", "pyarrow", "obstore.fsspec", "cloudpathlib"],
)
EOF
