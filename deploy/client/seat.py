#!/usr/bin/env python3
"""Takes a seat of a licd pool, keeps it, takes it along when its server dies, gives it back: docs/protocol.md, in JSON.

    seat.py HOST:PORT POOL FEATURE      lines on stdin: "renew" at once, "release" (or the end of input) and end

Python's standard library alone, over a bare socket to NATS. It cannot sign a nonce, so it is for a pool without roles. Checked: run, test/client/other-language.test.ts
"""
import json, os, secrets, select, socket, sys, time

clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # V3: goes on while the host sleeps
now = lambda: time.clock_gettime(clock) * 1000
say = lambda event, **more: print(json.dumps({"event": event, **more}), flush=True)

class Pool:
    def __init__(self, address, pool):
        host, port = address.rsplit(":", 1)
        self.root, self.client = f"licd.v1.{pool}.seat", secrets.token_hex(16)
        self.inbox, self.buffer = f"_INBOX.{secrets.token_hex(11)}", b""
        self.batch, self.sent = 0, {}  # number of a message -> server, operation, and when it was sent
        self.socket = socket.create_connection((host, int(port)), 5)
        options = {"verbose": False, "pedantic": False, "echo": False, "headers": True, "no_responders": True}
        self.socket.sendall(f"CONNECT {json.dumps(options)}\r\nSUB {self.inbox}.* 1\r\nPING\r\n".encode())

    def send(self, server, operation, **fields):
        head = b"NATS/1.0\r\nContent-Type: application/json\r\n\r\n"
        body = head + json.dumps({"clientId": self.client, **fields}).encode()
        self.batch += 1
        self.sent[self.batch] = (server, operation, now())  # before it is written: V1
        subject = f"{self.root}.{server}.{operation} {self.inbox}.{self.batch}"
        self.socket.sendall(f"HPUB {subject} {len(head)} {len(body)}\r\n".encode() + body + b"\r\n")

    def parse(self):
        """The next message in the buffer: (batch, {} for 503, else the answer), or None when there is no whole one."""
        while (end := self.buffer.find(b"\r\n")) >= 0:
            name, *words = self.buffer[:end].decode().split(" ")
            size = int(words[-1]) + 2 if name in ("MSG", "HMSG") else 0
            if len(self.buffer) < end + 2 + size:
                return None
            data, self.buffer = self.buffer[end + 2:end + size], self.buffer[end + 2 + size:]
            if name == "PING":
                self.socket.sendall(b"PONG\r\n")
            if name == "-ERR":
                raise SystemExit(f"NATS: {' '.join(words)}")
            if size > 0:
                head = data[:int(words[-2])] if name == "HMSG" else b""
                answer = {} if head.startswith(b"NATS/1.0 503") else json.loads(data[len(head):])
                return int(words[0].rsplit(".", 1)[1]), answer
        return None

    def hear(self, until, server, operation):
        """The next answer of the server to such a message, with `sentAt`; None at `until`, {} for 503."""
        while True:
            while (message := self.parse()) is not None:
                asked, kind, at = self.sent.get(message[0], ("", "", 0))
                if (asked, kind) == (server, operation):  # what was left is not heard any more: M1
                    return message[1] and {**message[1], "sentAt": at}
            left = (until - now()) / 1000
            if left <= 0 or not select.select([self.socket], [], [], left)[0]:
                return None
            if not (data := self.socket.recv(65536)):
                raise SystemExit("NATS closed the connection")
            self.buffer += data

    def ask(self, server, operation, tries=2, **fields):
        """The answer; None when the server is gone: 503, or silent for `tries` seconds."""
        for _ in range(tries):
            self.send(server, operation, **fields)
            if (heard := self.hear(now() + 1000, server, operation)) is not None:
                return heard or None
        return None

    def find(self, avoid=()):
        for pause in (0.1, 0.2, 0.4) + (0.5,) * 60:
            found = self.ask("any", "find", tries=1)
            if found and found["serving"] and found["server"] not in avoid:
                self.sent.clear()
                return found["server"]
            time.sleep(pause)
        raise SystemExit("no license server answers")

class Seat:
    def __init__(self, pool, feature):
        self.pool, self.server, self.open, request = pool, pool.find(), False, secrets.token_hex(16)
        self.fields = {"feature": feature, "user": os.environ.get("USER", ""), "host": socket.gethostname()}
        until = now() + 60_000
        while (left := until - now()) > 0:
            answer = pool.ask(self.server, "acquire", requestId=request, waitMs=int(left), **self.fields)
            if answer and answer["kind"] == "waiting":
                answer = pool.hear(now() + 2000, self.server, "acquire") or answer
            if answer and answer["kind"] == "granted":
                self.seatId, self.token = answer["seats"][0]["seatId"], answer["seats"][0]["token"]
                self.until = answer["sentAt"] + answer["expiresInMs"]  # V1
                return say("granted", seat=self.seatId, server=self.server, ms=self.until - now())
            if answer and answer["kind"] == "refused":
                raise SystemExit(f"{answer['code']}: {answer['detail']}")
            if answer is None:  # A1: withdrawn there, and a new id for the next server
                pool.send(self.server, "release", seatId=request)
                request, self.server = secrets.token_hex(16), pool.find((self.server,))
        pool.send(self.server, "release", seatId=request)
        raise SystemExit("LICD_TIMEOUT")

    def renew_at(self, server, **more):
        more |= {"seatId": self.seatId, "token": self.token, "failover": server != self.server}
        return self.pool.ask(server, "renew", **self.fields, **more)

    def renew(self):
        """At its own server; when that is gone, at any other, again and again until the seat is over."""
        server = self.server
        while now() < self.until:
            answer = self.renew_at(server)
            while answer and answer["kind"] in ("challenge", "pending") and now() < self.until:
                if answer["kind"] == "challenge":
                    self.open = True  # M2: from now on its own server hears nothing of the seat
                    answer = self.renew_at(server, confirm=answer["nonce"])
                else:  # the outcome comes by itself; else it is asked for again
                    answer = self.pool.hear(now() + 2000, server, "renew") or self.renew_at(server)
            if answer and answer["kind"] == "renewed" and answer["sentAt"] + answer["expiresInMs"] > now():
                until, moved = answer["sentAt"] + answer["expiresInMs"], server != self.server
                self.until = until if moved else max(self.until, until)  # V4
                self.token, self.server, self.open = answer["token"], server, False
                return say("moved" if moved else "renewed", server=server, ms=self.until - now())
            there = answer and answer.get("server")
            if answer and not there:
                if answer.get("code") in ("LICD_SEAT_LOST", "LICD_BAD_TOKEN"):
                    break
                time.sleep(max(1000, answer.get("retryAfterMs") or 0) / 1000)
            avoid = {server} | ({self.server} if self.open else set())
            server = there if there and there not in avoid else self.pool.find(avoid)
        raise SystemExit(say("lost") or 1)

    def release(self):
        fields = {"seatId": self.seatId, "token": self.token}
        answer = None if self.open else self.pool.ask(self.server, "release", tries=3, **fields)
        say("released" if answer and answer["kind"] == "released" else "left")

if __name__ == "__main__":
    seat, lines = Seat(Pool(sys.argv[1], sys.argv[2]), sys.argv[3]), open(0, "rb", 0)
    while True:
        due = (seat.until - now()) / 3000 * (0.8 + secrets.randbelow(100) / 500)
        line = lines.readline() if select.select([lines], [], [], max(0, due))[0] else b"renew"
        if line.strip() != b"renew":
            break
        seat.renew()
    seat.release()
