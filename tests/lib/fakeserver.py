#!/usr/bin/python3
"""A supervisor that only says what it was told to: HTTP on a Unix socket, canned answers.

fakeserver.py SOCKET ROUTES.json LOG

ROUTES.json is read anew at every request: {"GET /v1/stats": ANSWER, ...}, where ANSWER is
  {"status": 200, "json": {...}} or {"status": 200, "text": "..."}, and may have
  "hang": true      never answer
  "stream": FIFO    send what is written into this FIFO, a line at a time, until it is closed
In any string @NOW-90@ is the time 90 seconds ago, @NOW+90@ that in 90 seconds. What is asked for
and is no route is a 404 with a problem document. LOG gets each request's line. One line on stdout
says that it listens."""
import datetime
import http.server
import json
import os
import re
import socketserver
import sys
import threading

SOCKET, ROUTES, LOG = sys.argv[1:4]


def when(match):
    at = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=float(match[1]))
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + "%03dZ" % (at.microsecond // 1000)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def address_string(self):
        return "local"

    def log_message(self, *_):
        pass

    def answer(self):
        with open(LOG, "a", encoding="utf-8") as log:
            log.write(self.command + " " + self.path + "\n")
        with open(ROUTES, encoding="utf-8") as routes:
            answer = json.load(routes).get(self.command + " " + self.path)
        if answer is None:
            answer = {"status": 404, "type": "application/problem+json",
                      "json": {"type": "about:blank", "title": "Not Found", "status": 404,
                               "detail": "there is nothing at " + self.path}}
        if answer.get("hang"):
            threading.Event().wait()
        if "stream" in answer:
            return self.stream(answer["stream"])
        text = answer["text"] if "text" in answer else json.dumps(answer["json"])
        body = re.sub(r"@NOW([+-][0-9.]+)@", when, text).encode("utf-8", "surrogateescape")
        self.send_response(answer.get("status", 200))
        self.send_header("Content-Type", answer.get("type", "application/json"))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def stream(self, fifo):
        self.send_response(200)
        self.send_header("Content-Type", "application/x-ndjson")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        with open(fifo, "rb", buffering=0) as lines:
            while chunk := lines.read(4096):
                self.wfile.write(chunk)

    do_GET = do_POST = answer


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request, client_address):
        pass   # a client that went away


# A path may be longer than an address can be.
directory = os.open(os.path.dirname(SOCKET), os.O_PATH | os.O_DIRECTORY)
server = Server("/proc/self/fd/%d/%s" % (directory, os.path.basename(SOCKET)), Handler)
print("listening", flush=True)
server.serve_forever()
