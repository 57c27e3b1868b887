"""What makes requests reach deep: channels that are there, and a session to update and to stop."""

import json
import os
import urllib.error
import urllib.request

import schemathesis
from hypothesis import strategies as st

RELAY = os.environ["API_CHECK_RELAY"]
WORKER = os.environ["API_CHECK_WORKER"]
TOKEN = os.environ["API_CHECK_TOKEN"]


def call(method, url, body=b"", **headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(url, body, headers, method=method)
    with urllib.request.urlopen(request) as answer:
        return answer.read()


def worker(method, path, body=None):
    text = json.dumps(body).encode() if body else b""
    return call(method, f"{WORKER}{path}", text, Authorization=f"Bearer {TOKEN}")

for number in range(10):
    call("POST", f"{RELAY}channel-{number}", Expect_Content="video/mp2t")

schemathesis.openapi.format("uri", st.integers(0, 9).map(lambda n: f"{RELAY}channel-{n}"))

# Nobody publishes to it, which would end it when the session that does ends.
call("POST", f"{RELAY}live", Expect_Content="video/mp2t")


@schemathesis.hook
def before_call(context, case, kwargs):
    if case.path not in ("/stream/update", "/stream/params", "/stream/stop"):
        return
    start = {"gateway_request_id": "live", "subscribe_url": f"{RELAY}live"}
    worker("POST", "/stream/start", start)


# Without an input a session makes pictures for as long as it lives: none is left to do so.
@schemathesis.hook
def after_call(context, case, response):
    if case.path not in ("/stream/start", "/live-video-to-video"):
        return
    for session in json.loads(worker("GET", "/stream/status"))["sessions"]:
        named = {"gateway_request_id": session["gateway_request_id"]}
        try:
            worker("POST", "/stream/stop", named)
        except urllib.error.HTTPError:
            pass  # It has ended meanwhile.
