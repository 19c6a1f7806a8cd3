"""A small object store in memory for these scripts: one bucket level, no authentication, one thread a connection.

`before(request)` may answer a request instead of the store; `after(request, answer)` may replace the answer.
An answer is (status, headers, body); None closes the connection without an answer.
"""

import email.utils
import hashlib
import http.server
import os
import re
import sys
import threading
import time
import urllib.parse
from importlib.metadata import version
from xml.sax.saxutils import escape

NAMESPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
ISO_DATE = "2026-11-27T12:00:00.000Z"


def report(packages, expected, seen, holds):
    """Print what was expected and seen; end with status 1 if the behaviour is another one by now."""
    print(", ".join(f"{name} {version(name)}" for name in packages))
    print("expected:", expected)
    print("seen:    ", seen)
    if not holds:
        print("the behaviour has changed")
    sys.stdout.flush()
    os._exit(0 if holds else 1)  # a client that still has threads of its own may not end by itself


def document(name, inner):
    return f'<?xml version="1.0" encoding="UTF-8"?><{name} {NAMESPACE}>{inner}</{name}>'.encode()


def elements(**values):
    return "".join(f"<{name}>{escape(str(value))}</{name}>" for name, value in values.items())


def error(status, code):
    return status, {}, f"<?xml version='1.0'?><Error>{elements(Code=code, Message=code)}</Error>".encode()


def etag_of(body):
    return f'"{hashlib.md5(body).hexdigest()}"'


class Store:
    def __init__(self, before=None, after=None, clock_offset=0):
        self.objects, self.uploads, self.requests = {}, {}, []
        self.before = before or (lambda request: None)
        self.after = after or (lambda request, answer: answer)
        self.clock_offset = clock_offset
        self.upload_count = 0
        self.lock = threading.RLock()

    def start(self):
        handler = type("Handler", (_Handler,), {"store": self})
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}"

    def answer(self, request):
        with self.lock:
            answer = self.after(request, self.before(request) or self.do(request))
            self.requests.append((request.command, request.path, answer and answer[0], request.headers))
            return answer

    def put(self, path, body):
        self.objects[path] = body
        return 200, {"ETag": etag_of(body)}, b""

    def do(self, request):
        of_bucket = request.name == ""
        if request.command == "PUT":
            return (200, {}, b"") if of_bucket else self.do_put(request)
        if request.command == "POST":
            return self.do_delete_many(request) if "delete" in request.query else self.do_multipart(request)
        if request.command == "DELETE":
            upload = request.query.get("uploadId")
            (self.uploads.pop(upload, None) if upload else self.objects.pop(request.where, None))
            return 204, {}, b""
        if "uploads" in request.query or "uploadId" in request.query:
            return self.do_list_uploads(request)
        return self.do_list(request) if of_bucket else self.do_get(request)

    def do_put(self, request):
        headers, old = request.headers, self.objects.get(request.where)
        if "partNumber" in request.query:
            self.uploads[request.query["uploadId"]][1][int(request.query["partNumber"])] = request.body
            return 200, {"ETag": etag_of(request.body)}, b""
        if headers.get("If-None-Match") == "*" and old is not None:
            return error(412, "PreconditionFailed")
        if "If-Match" in headers and (old is None or etag_of(old).strip('"') != headers["If-Match"].strip('"')):
            return error(412, "PreconditionFailed")
        return self.put(request.where, request.body)

    def do_multipart(self, request):
        about = elements(Bucket=request.bucket, Key=request.name)
        if "uploads" in request.query:
            upload, self.upload_count = f"upload{self.upload_count}", self.upload_count + 1
            self.uploads[upload] = (request.name, {})
            return 200, {}, document("InitiateMultipartUploadResult", about + elements(UploadId=upload))
        _, parts = self.uploads.get(request.query["uploadId"], (None, None))
        if parts is None:
            return error(404, "NoSuchUpload")
        wanted = re.findall(r"<Part>.*?</Part>", request.body.decode(), re.DOTALL)
        chosen = {}
        for part in wanted:
            number = int(re.search(r"<PartNumber>(\d+)<", part)[1])
            if re.search(r"[0-9a-f]{32}", part)[0] != hashlib.md5(parts.get(number, b"absent")).hexdigest():
                return error(400, "InvalidPart")
            chosen[number] = parts[number]
        del self.uploads[request.query["uploadId"]]
        _, headers, _ = self.put(request.where, b"".join(chosen[number] for number in sorted(chosen)))
        return 200, {}, document("CompleteMultipartUploadResult", about + elements(Location="/", ETag=headers["ETag"]))

    def do_delete_many(self, request):
        names = re.findall(r"<Key>(.*?)</Key>", request.body.decode())
        for name in names:
            self.objects.pop(f"/{request.bucket}/{name}", None)
        return 200, {}, document("DeleteResult", "".join(f"<Deleted>{elements(Key=name)}</Deleted>" for name in names))

    def do_list_uploads(self, request):
        owner = "<Initiator><ID>i</ID></Initiator><Owner><ID>i</ID></Owner><StorageClass>STANDARD</StorageClass>"
        about = elements(Bucket=request.bucket, IsTruncated="false")
        if upload := request.query.get("uploadId"):
            name, parts = self.uploads[upload]
            inner = "".join(
                f"<Part>{elements(PartNumber=n, LastModified=ISO_DATE, ETag=etag_of(body), Size=len(body))}</Part>"
                for n, body in sorted(parts.items())
            )
            return 200, {}, document("ListPartsResult", about + elements(Key=name, UploadId=upload) + inner)
        inner = "".join(
            f"<Upload>{elements(Key=name, UploadId=upload, Initiated=ISO_DATE)}{owner}</Upload>"
            for upload, (name, _) in self.uploads.items()
        )
        return 200, {}, document("ListMultipartUploadsResult", about + inner)

    def do_get(self, request):
        body = self.objects.get(request.where)
        if body is None:
            return error(404, "NoSuchKey")
        headers = {"ETag": etag_of(body), "Accept-Ranges": "bytes", "Content-Type": "application/octet-stream"}
        if span := re.fullmatch(r"bytes=(\d*)-(\d*)", request.headers.get("Range", "")):
            first = int(span[1]) if span[1] else max(0, len(body) - int(span[2]))
            last = min(int(span[2]), len(body) - 1) if span[1] and span[2] else len(body) - 1
            headers["Content-Range"] = f"bytes {first}-{last}/{len(body)}"
            return 206, headers, body[first : last + 1]
        return 200, headers, body

    def do_list(self, request):
        root, query = f"/{request.bucket}/", request.query
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        start = query.get("start-after") or query.get("marker") or ""
        entries, prefixes = "", []
        for path in sorted(self.objects):
            name = path.removeprefix(root)
            if not path.startswith(root + prefix) or name <= start:
                continue
            if delimiter and delimiter in name[len(prefix) :]:
                prefixes.append(prefix + name[len(prefix) :].split(delimiter)[0] + delimiter)
            else:
                body = self.objects[path]
                values = elements(Key=name, LastModified=ISO_DATE, ETag=etag_of(body), Size=len(body))
                entries += f"<Contents>{values}<StorageClass>STANDARD</StorageClass></Contents>"
        common = "".join(
            f"<CommonPrefixes>{elements(Prefix=each)}</CommonPrefixes>" for each in dict.fromkeys(prefixes)
        )
        about = elements(Name=request.bucket, Prefix=prefix, MaxKeys=1000, IsTruncated="false")
        return 200, {"Content-Type": "application/xml"}, document("ListBucketResult", about + entries + common)


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    store: Store

    def log_message(self, *args):
        pass

    def serve(self):
        target = urllib.parse.urlsplit(self.path)
        self.where = urllib.parse.unquote(target.path)
        self.bucket, _, self.name = self.where.lstrip("/").partition("/")
        self.query = dict(urllib.parse.parse_qsl(target.query, keep_blank_values=True))
        self.body = self.read_body()
        answer = self.store.answer(self)
        if answer is None:
            self.close_connection = True
            return
        status, headers, body = answer
        self.send_response(status)
        date = email.utils.formatdate(time.time() + self.store.clock_offset, usegmt=True)
        for name, value in {"Content-Length": len(body), "Last-Modified": date, **headers}.items():
            self.send_header(name, str(value))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def read_body(self):
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            body = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if "STREAMING" in self.headers.get("x-amz-content-sha256", ""):
            body = _without_aws_chunks(body)
        return body

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = serve


def _without_aws_chunks(body):
    plain = b""
    while size := int(re.match(rb"[0-9a-fA-F]+", body)[0], 16):
        start = body.index(b"\r\n") + 2
        plain, body = plain + body[start : start + size], body[start + size + 2 :]
    return plain


if __name__ == "__main__":  # serves until its input ends: for clients in other languages; then lists what it holds
    small = Store()
    print(small.start(), flush=True)
    sys.stdin.read()
    for command, path, status, _ in small.requests:
        print(command, path, status)
    for path, body in small.objects.items():
        print("holds", path, len(body), "bytes, of which", body.count(b"b"), "are b")
