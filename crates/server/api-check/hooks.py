"""What makes requests reach deep: channels that are there, and a session to update and to stop."""

import json
import os
import urllib.request

import schemathesis
from hypothesis import strategies as st

RELAY = os.environ["API_CHECK_RELAY"]
WORKER = os.environ["API_CHECK_WORKER"]
TOKEN = os.environ["API_CHECK_TOKEN"]


def post(url, body=b"", **headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(url, body, headers, method="POST")
    urllib.request.urlopen(request).close()


for number in range(10):
    post(f"{RELAY}channel-{number}", Expect_Content="video/mp2t")

schemathesis.openapi.format("uri", st.integers(0, 9).map(lambda n: f"{RELAY}channel-{n}"))


# Nobody publishes to it, which would end it when the session that does ends.
post(f"{RELAY}live", Expect_Content="video/mp2t")


@schemathesis.hook
def before_call(context, case, kwargs):
    if case.path not in ("/stream/update", "/stream/params", "/stream/stop"):
        return
    start = {"gateway_request_id": "live", "subscribe_url": f"{RELAY}live"}
    body = json.dumps(start).encode()
    post(f"{WORKER}/stream/start", body, Authorization=f"Bearer {TOKEN}")
