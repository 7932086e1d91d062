"""Stands in for the dbt server of a pod.

`POST /ready` is answered with `{}`, and `/invocations` with what arrived. `?seconds=2` makes that slow, `?padding=1000` makes it long.
`/waiting` tells the seconds of the slow requests that are at work, also of those that nobody waits for any more.
"""

import hashlib
import json
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


waiting = []


class Server(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        url = urlsplit(self.path)
        if url.path == "/ready":
            return self.send(200, {}) if self.command == "POST" else self.send(405, {"error": "POST only"})
        if url.path == "/waiting":
            return self.send(200, waiting)
        options = {key: int(values[0]) for key, values in parse_qs(url.query).items()}
        if seconds := options.get("seconds"):
            waiting.append(seconds)
            time.sleep(seconds)
            waiting.remove(seconds)
        self.send(
            200,
            {
                "method": self.command,
                "path": url.path,
                "headers": {name.lower(): value for name, value in self.headers.items()},
                "bytes": len(body),
                "sha256": hashlib.sha256(body).hexdigest(),
                "padding": "x" * options.get("padding", 0),
            },
        )

    def send(self, status, answer):
        text = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = answer

    def log_message(self, *_):
        pass


ThreadingHTTPServer(("127.0.0.1", 8585), Server).serve_forever()
