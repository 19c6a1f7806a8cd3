#!/bin/sh
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-audit --no-fund minio@8.0.7 >/dev/null
mkfifo input
python3 "$here/small_store.py" <input >store &
exec 3>input
while ! [ -s store ]; do sleep 0.2; done
cat >run.js <<'EOF'
const { Readable } = require("stream");
const minio = require("minio");
const { hostname, port } = new URL(process.argv[2]);

// The program gives the size; the stream (a file that is cut, a pipe whose writer ends early) has less.
const client = new minio.Client({
  endPoint: hostname, port: Number(port), useSSL: false, region: "us-east-1", accessKey: "key", secretKey: "secret",
});
client.putObject("bucket", "o", Readable.from([Buffer.alloc(100)]), 500).then(
  (result) => console.log("success"),
  (failure) => console.log("refused:", failure.message),
).then(() => process.exit(0));
EOF
node run.js "$(head -n 1 store)" >clients
exec 3>&-
wait
echo "minio (npm) $(node -p 'require("minio/package.json").version')"
echo "expected: putObject(bucket, name, stream, 500) fails when the stream ends after 100 bytes"
echo "seen:     $(cat clients); $(grep holds store)"
grep -q success clients && grep -q "holds /bucket/o 100 bytes" store
