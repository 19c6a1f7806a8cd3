#!/bin/sh
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install -q --disable-pip-version-check polars==2.1.0
PYTHONPATH=$here WORK=$work "$work/env/bin/python" - <<'EOP'
# A query reads a CSV file and writes it as Parquet over a former object. Far down in it a value is not a number.
import io
import os
import time

import polars
from small_store import Store, report

ROWS, BAD = 6_000_000, 5_000_000
KEY = "/bucket/table.parquet"
store = Store()
options = {
    "aws_endpoint_url": store.start(),
    "aws_allow_http": "true",
    "aws_region": "us-east-1",
    "aws_access_key_id": "key",
    "aws_secret_access_key": "secret",
}
source = os.path.join(os.environ["WORK"], "table.csv")
with open(source, "w") as file:
    file.write("number,text\n")
    file.writelines(f"{row},{'oops' if row == BAD else row % 1000}\n" for row in range(ROWS))


def rows_of(data):
    try:
        return polars.read_parquet(io.BytesIO(data)).height
    except polars.exceptions.ComputeError:
        return "unreadable"


polars.LazyFrame({"number": [1], "text": [1]}).sink_parquet("s3://bucket/table.parquet", storage_options=options)
former = store.objects[KEY]
query = polars.scan_csv(source, schema={"number": polars.Int64, "text": polars.Int64})
try:
    query.sink_parquet("s3://bucket/table.parquet", storage_options=options)
    raised = "nothing"
except polars.exceptions.ComputeError as error:
    raised = str(error).split(" at ")[0]
deadline = time.monotonic() + 30
while (store.objects[KEY] == former or store.uploads) and time.monotonic() < deadline:
    time.sleep(0.1)  # the upload is completed after the error was raised
stored = rows_of(store.objects[KEY])
report(
    ["polars"],
    "the query raises, the upload is aborted, and the former object stays",
    f"raised: {raised}; the object is replaced by a sound Parquet file of {stored} of {ROWS} rows",
    raised != "nothing" and isinstance(stored, int) and 1 < stored < ROWS,
)
EOP
