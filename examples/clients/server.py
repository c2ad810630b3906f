"""A loss in Python for httpBox('http://127.0.0.1:PORT'): python3 server.py [PORT] [TOKEN]. It prints the port that it listens at."""
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PORT = int(sys.argv[1]) if len(sys.argv) > 1 else 0
TOKEN = sys.argv[2] if len(sys.argv) > 2 else ""


def loss(x):
    return sum((i + 1) * (value - 1) ** 2 for i, value in enumerate(x))


def answer(query):
    try:
        return {"id": query["id"], "loss": loss(query["x"])}
    except Exception as error:
        return {"id": query["id"], "failed": repr(error)}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # Keeps the connection.
    wbufsize = -1  # Sends headers and answers together.

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        allowed = TOKEN == "" or self.headers["Authorization"] == f"Bearer {TOKEN}"
        reply = json.dumps({"answers": [answer(query) for query in body["queries"]]} if allowed else {}).encode()
        self.send_response(200 if allowed else 401)
        self.send_header("Content-Length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)

    def log_message(self, *args):
        pass


server = ThreadingHTTPServer(("127.0.0.1", PORT), Handler)
print(server.server_port, flush=True)
server.serve_forever()
