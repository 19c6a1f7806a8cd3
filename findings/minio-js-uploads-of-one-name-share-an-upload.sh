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
const { PassThrough } = require("stream");
const minio = require("minio");
const { hostname, port } = new URL(process.argv[2]);
const wait = (ms) => new Promise((done) => setTimeout(done, ms));

// Each of two processes writes its own 11 MiB to the same name, in parts of 5 MiB; the second begins a little later.
async function write(letter) {
  const client = new minio.Client({
    endPoint: hostname, port: Number(port), useSSL: false, region: "us-east-1",
    accessKey: "key", secretKey: "secret", partSize: 5 << 20,
  });
  const stream = new PassThrough();
  const result = client.putObject("bucket", "o", stream).then(() => "stored", (failure) => failure.code || failure.message);
  for (let i = 0; i < 11; i++) {
    stream.write(Buffer.alloc(1 << 20, letter));
    await wait(200);
  }
  stream.end();
  return result;
}
const second = wait(1000).then(() => write("b"));
Promise.all([write("a"), second]).then(([a, b]) => {
  console.log(`first writer: ${a}; second writer: ${b}`);
  process.exit(0);
});
EOF
node run.js "$(head -n 1 store)" >clients
exec 3>&-
wait
echo "minio (npm) $(node -p 'require("minio/package.json").version')"
echo "expected: two uploads, each with its own id; both are stored, and the last one wins"
echo "seen:     $(cat clients); uploads begun: $(grep -c '^POST.*[?]uploads' store); the store:"
grep -E "uploads|holds|POST" store
[ "$(grep -c '^POST.*[?]uploads' store)" = 1 ] && grep -q "InvalidPart" clients
