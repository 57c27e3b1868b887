#!/usr/bin/env python3
"""Checks that trickle and PyTrickle understand each other, with PyTrickle's own code on one side:
its publisher and subscriber on our relay, and one list of requests to both workers. Run it from the
repository's root with the Python of an environment that PyTrickle is installed in:

    ./run cargo build --release --locked --package trickle-cli
    python3 -m venv venv && venv/bin/pip install --only-binary :all: pytrickle==0.1.6
    venv/bin/python benches/peers/interop.py
"""

import asyncio
import contextlib
import json
import logging
import subprocess
import sys
import time
import urllib.error
import urllib.request

from measure import BASELINE, TRICKLE, pytrickle, trickle
from pytrickle import TricklePublisher, TrickleSubscriber

LIMIT_S = 60
CHUNK = 10 * 188
SYNC_BYTE = 0x47
START = {"gateway_request_id": "interop", "params": {"width": 320, "height": 192}}


@contextlib.contextmanager
def relay():
    command = [TRICKLE, "relay", "--quiet", "--addr", "127.0.0.1:0", "--autocreate"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()


@contextlib.contextmanager
def published(url):
    """A clip on a channel of our relay, again and again."""
    command = [TRICKLE, "publish", "--quiet", BASELINE, url, "--loop"]
    with subprocess.Popen(command) as process:
        try:
            wait_for(url)
            yield
        finally:
            process.kill()


def status(url):
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def wait_for(url):
    """A channel that is not there yet ends PyTrickle's subscriber."""
    while status(url + "/next") != 200:
        time.sleep(0.02)


async def write(url, segments):
    """Each segment in several chunks."""
    async with TricklePublisher(url, "video/mp2t") as publisher:
        for segment in segments:
            async with await publisher.next() as writer:
                for at in range(0, len(segment), CHUNK):
                    await writer.write(segment[at : at + CHUNK])
                    await asyncio.sleep(0.005)
        # Its segments have no acknowledgement that could be awaited, and its close cuts off
        # what is still on the way.
        await asyncio.sleep(0.5)


async def read(url, most, start=-2):
    """Up to `most` segments, whole, or all until the end of the stream."""
    segments = []
    async with TrickleSubscriber(url, start_seq=start) as subscriber:
        while len(segments) < most and (segment := await subscriber.next()) is not None:
            data = bytearray()
            while chunk := await segment.read():
                data += chunk
            segments.append(bytes(data))
    return segments


SENT = [f"{index}".encode() * CHUNK * 5 for index in range(5)]


async def pytrickle_to_pytrickle(base):
    writing = asyncio.create_task(write(base + "theirs", SENT))
    await asyncio.to_thread(wait_for, base + "theirs")
    received = await read(base + "theirs", len(SENT), start=0)
    await writing
    assert received == SENT, [len(segment) for segment in received]


async def pytrickle_to_trickle(base):
    writing = asyncio.create_task(write(base + "to-ours", SENT))
    await asyncio.to_thread(wait_for, base + "to-ours")
    reader = await asyncio.create_subprocess_exec(
        TRICKLE, "subscribe", "--quiet", base + "to-ours", stdout=asyncio.subprocess.PIPE
    )
    # From the segment that is current when it asks. PyTrickle leaves its channel open, so it would
    # wait for more.
    received = b""
    try:
        while not received.endswith(SENT[-1]):
            received += await reader.stdout.read(CHUNK)
    finally:
        reader.kill()
        await reader.wait()
    await writing
    assert received in [b"".join(SENT[first:]) for first in range(len(SENT))], "not whole segments"


async def trickle_to_pytrickle(base):
    with published(base + "ours"):
        segments = await read(base + "ours", 2)
    assert len(segments) == 2, f"{len(segments)} segments"
    for segment in segments:
        assert len(segment) % 188 == 0 and segment[0] == SYNC_BYTE, segment[:16]


def ask(base, method, path, body=None):
    """Status code and the JSON of the answer."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"content-type": "application/json"} if data else {}
    request = urllib.request.Request(base + path, data, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            code, text = answer.status, answer.read()
    except urllib.error.HTTPError as error:
        code, text = error.code, error.read()
    try:
        return code, json.loads(text)
    except ValueError:
        return code, None


def conversation(worker, base):
    """What a gateway asks of a worker, in its order; answers by what was asked."""
    start = {**START, "subscribe_url": base + "in", "publish_url": base + "out-" + str(time.time_ns())}
    asked = [
        ("health, idle", "GET", "/health", None),
        ("version", "GET", "/version", None),
        ("app-version", "GET", "/app-version", None),
        ("hardware info", "GET", "/hardware/info", None),
        ("hardware stats", "GET", "/hardware/stats", None),
        ("status, idle", "GET", "/stream/status", None),
        ("stop, idle", "POST", "/stream/stop", {}),
        ("update, idle", "POST", "/stream/params", {"strength": 1}),
        ("start without an id", "POST", "/stream/start", {"params": {}}),
        ("start", "POST", "/stream/start", start),
        ("status, running", "GET", "/stream/status", None),
        ("health, running", "GET", "/health", None),
        ("update, running", "POST", "/stream/params", {"strength": 1}),
        ("stop", "POST", "/stream/stop", {}),
    ]
    answers = {}
    for name, method, path, body in asked:
        answers[name] = ask(worker[0], method, path, body)
        if name == "start":
            time.sleep(2)
    return answers


def workers_answer_alike(base):
    with published(base + "in"):
        with trickle("passthrough") as worker:
            while status(worker[0] + "/health") != 200:
                time.sleep(0.01)
            ours = conversation(worker, base)
        with pytrickle(sys.prefix) as worker:
            theirs = conversation(worker, base)
    wrong = []
    for name, (code, body) in theirs.items():
        our_code, our_body = ours[name]
        if our_code != code:
            wrong.append(f"{name}: {our_code} where PyTrickle says {code}: {our_body} / {body}")
        if code == 200 and isinstance(body, dict):
            missing = body.keys() - our_body.keys()
            if missing:
                wrong.append(f"{name}: without {', '.join(sorted(missing))}: {body}")
    assert not wrong, "\n  " + "\n  ".join(wrong)


async def main():
    logging.disable(logging.CRITICAL)
    failed = passed = 0
    with relay() as base:
        checks = [pytrickle_to_pytrickle, pytrickle_to_trickle, trickle_to_pytrickle]
        steps = [(check.__name__, lambda check=check: check(base)) for check in checks]
        steps.append(
            (workers_answer_alike.__name__, lambda: asyncio.to_thread(workers_answer_alike, base))
        )
        for name, step in steps:
            try:
                await asyncio.wait_for(step(), LIMIT_S)
                print(f"ok    {name}")
                passed += 1
            except (AssertionError, asyncio.TimeoutError) as error:
                print(f"FAIL  {name}: {error or 'took too long'}")
                failed += 1
    print(f"{passed} passed, {failed} failed")
    return failed


if __name__ == "__main__":
    sys.exit(1 if asyncio.run(main()) else 0)
