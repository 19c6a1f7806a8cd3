#!/bin/sh
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install -q --disable-pip-version-check s3fs==2026.9.0 'cloudpathlib[s3]==0.26.0' rohmu==2.8.2 s3cmd==2.4.0 pyarrow==26.0.1 obstore==0.12.1
PYTHONPATH=$here AWS_ACCESS_KEY_ID=key AWS_SECRET_ACCESS_KEY=secret AWS_REGION=us-east-1 AWS_DEFAULT_REGION=us-east-1 \
    "$work/env/bin/python" - <<'EOF'
# A bulk delete answers 200 and names each object that it could not delete, for example one under a retention period.
import re
import subprocess
import sys
import cloudpathlib
import obstore
import pyarrow.fs
import rohmu
import s3fs
from small_store import Store, document, elements, report


def refuse(request):
    if request.command == "POST" and "delete" in request.query:
        names = re.findall(r"<Key>(.*?)</Key>", request.body.decode())
        refused = (elements(Key=name, Code="AccessDenied", Message="Retained") for name in names)
        return 200, {}, document("DeleteResult", "".join(f"<Error>{each}</Error>" for each in refused))
    return None


store = Store(before=refuse)
url = store.start()
for name in ("1", "2"):
    store.put(f"/bucket/d/{name}", b"x")
host, port = url.removeprefix("http://").split(":")
keys = {"aws_access_key_id": "key", "aws_secret_access_key": "secret"}
arrow = pyarrow.fs.S3FileSystem(access_key="key", secret_key="secret", endpoint_override=url, region="us-east-1")
rust = obstore.store.S3Store(
    "bucket", endpoint=url, client_options={"allow_http": True}, region="us-east-1",
    access_key_id="key", secret_access_key="secret", virtual_hosted_style_request=False,
)
transfer = rohmu.get_transfer({
    "storage_type": "s3", "bucket_name": "bucket", "region": "us-east-1", "host": host, "port": port,
    "is_secure": False, **keys,
})
s3cmd = [
    sys.executable, sys.executable.removesuffix("python") + "s3cmd", "del", "--recursive", "--force", "s3://bucket/d/",
    "--access_key=key", "--secret_key=secret", f"--host={host}:{port}", f"--host-bucket={host}:{port}", "--no-ssl",
]
deletions = {
    "s3fs": lambda: s3fs.S3FileSystem(key="key", secret="secret", endpoint_url=url).rm("bucket/d", recursive=True),
    "cloudpathlib": lambda: cloudpathlib.S3Client(endpoint_url=url).CloudPath("s3://bucket/d/").rmtree(),
    "rohmu": lambda: transfer.delete_keys(["d/1", "d/2"]),
    "s3cmd": lambda: subprocess.run(s3cmd, check=True, stdout=sys.stderr),
    "pyarrow": lambda: arrow.delete_dir("bucket/d"),
    "obstore": lambda: obstore.delete(rust, ["d/1", "d/2"]),
}
seen = {}
for name, delete in deletions.items():
    try:
        delete()
        seen[name] = "success"
    except Exception as failure:
        seen[name] = type(failure).__name__
report(
    ["s3fs", "cloudpathlib", "rohmu", "s3cmd", "pyarrow", "obstore"],
    "an error, as pyarrow and obstore raise",
    f"{seen}; objects left: {len(store.objects)} of 2",
    [name for name in seen if seen[name] == "success"] == ["s3fs", "cloudpathlib", "rohmu", "s3cmd"],
)
EOF
