"""A small shop for the demo: a server whose load varies, and visitors that cause it. Only Python is needed.

shop.py serve PORT [--moody]    serve pages on 127.0.0.1; --moody: not healthy for 25 of each 100 seconds
shop.py visit PORT...           visit these servers in turn, more and less often
"""

import http.client
import json
import math
import random
import signal
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

WARM_UP_S = 3.0
CACHE = 300
STARTED = time.monotonic()


def say(level: str, message: str, **fields: object) -> None:
    print(json.dumps({"level": level, "msg": message, **fields}), flush=True)


class Shop(BaseHTTPRequestHandler):
    """Answers GET /health, and any other path with a page that costs some work."""

    protocol_version = "HTTP/1.1"
    moody = False
    cache: ClassVar[list[bytes]] = []
    served = 0

    def do_GET(self) -> None:
        if self.path == "/health":
            self.answer(503 if self.is_unwell() else 200, b"health\n")
            return
        began = time.monotonic()
        work = sum(math.sqrt(number) for number in range(random.randrange(2_000, 20_000)))
        Shop.served += 1
        Shop.cache.append(bytes(100_000))
        if len(Shop.cache) > CACHE:
            Shop.cache.clear()
            say("info", "the cache was full and is empty again")
        self.answer(200, f"{work:.0f}\n".encode())
        took_ms = round(1000 * (time.monotonic() - began), 1)
        if Shop.served % 20 == 0:
            say("info", f"served {Shop.served} pages", path=self.path, took_ms=took_ms)
        if random.random() < 0.01:
            say("warn", "slow page", path=self.path, took_ms=took_ms + 400)
        if random.random() < 0.002:
            say("error", "payment provider does not answer", path="/checkout")

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def is_unwell(self) -> bool:
        age = time.monotonic() - STARTED
        return age < WARM_UP_S or (self.moody and age % 100 > 75)

    def log_message(self, *_: object) -> None:
        pass


def serve(port: int, moody: bool) -> None:
    Shop.moody = moody
    server = ThreadingHTTPServer(("127.0.0.1", port), Shop)
    server.daemon_threads = True
    say("info", f"listening on port {port}, warming up")
    server.serve_forever(poll_interval=5)


def visit(ports: list[int]) -> None:
    pages = ("/", "/books", "/music", "/cart")
    visited, failed, since = 0, 0, time.monotonic()
    while True:
        crowd = 0.5 + 0.5 * math.sin(time.monotonic() / 15)  # a busy time every 94 seconds
        time.sleep(random.expovariate(1 + 9 * crowd * crowd))
        page = random.choice(pages)
        if any(get(port, page) for port in random.sample(ports, len(ports))):
            visited += 1
        else:
            failed += 1
        if time.monotonic() - since > 15:
            say("info" if not failed else "warn", f"visited {visited} pages, {failed} failed")
            visited, failed, since = 0, 0, time.monotonic()


def get(port: int, page: str) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", page)
        return connection.getresponse().read() != b""
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    match sys.argv[1:]:
        case ["serve", port, *options]:
            serve(int(port), "--moody" in options)
        case ["visit", *ports] if ports:
            visit([int(port) for port in ports])
        case _:
            sys.exit(__doc__)
