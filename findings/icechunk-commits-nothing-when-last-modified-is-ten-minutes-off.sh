#!/bin/sh
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install -q --disable-pip-version-check icechunk==1.1.21 zarr==3.1.6
PYTHONPATH=$here AWS_ACCESS_KEY_ID=key AWS_SECRET_ACCESS_KEY=secret AWS_REGION=us-east-1 AWS_DEFAULT_REGION=us-east-1 \
    "$work/env/bin/python" - <<'EOF'
# The store's clock is 11 minutes behind or ahead of the client's; nothing else is wrong.
import icechunk
import zarr
from small_store import Store, report


def commit(offset):
    url = Store(clock_offset=offset).start()
    storage = icechunk.s3_storage(
        bucket="bucket", prefix="ice", endpoint_url=url, allow_http=True, force_path_style=True,
        region="us-east-1", access_key_id="key", secret_access_key="secret",
    )
    session = icechunk.Repository.create(storage).writable_session("main")
    zarr.create_array(session.store, name="a", shape=(3,), dtype="i4")
    try:
        session.commit("first")
    except icechunk.IcechunkError as failure:
        return "refused: " + str(failure).split("session error: ")[1].split(",")[0]
    return "committed"


seen = {minutes: commit(60 * minutes) for minutes in (-11, -9, 9, 11)}
report(
    ["icechunk"],
    "commits do not depend on the store's clock, as in requests signed within 15 minutes",
    f"minutes by which Last-Modified is off: {seen}",
    [answer.split(":")[0] for answer in seen.values()] == ["refused", "committed", "committed", "refused"],
)
EOF
