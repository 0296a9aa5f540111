"""A program with `requests` or `httpx`: sends a body, gets it back, and reads a stream whose next event comes only
when it asks for it.

    python http_client.py requests|httpx URL KEY_VARIABLE

Prints {"sha256", "events"} and waits for the end of its standard input. Every program of this directory does.
"""

import hashlib
import json
import os
import sys
import uuid

BODY = bytes(range(256)) * 4096


def main():
    library, url, variable = sys.argv[1:]
    headers = {"authorization": f"Bearer {os.environ[variable]}"}
    body, events = {"requests": with_requests, "httpx": with_httpx}[library](url, headers)
    print(json.dumps({"sha256": hashlib.sha256(body).hexdigest(), "events": events}), flush=True)
    sys.stdin.read()


def with_requests(url, headers):
    import requests

    with requests.Session() as session:
        session.headers.update(headers)
        echoed = session.post(f"{url}/echo", data=BODY)
        echoed.raise_for_status()
        name = uuid.uuid4()
        with session.get(f"{url}/events?id={name}", stream=True) as stream:
            stream.raise_for_status()
            ask = lambda: session.get(f"{url}/next?id={name}").raise_for_status()
            return echoed.content, read(stream.iter_lines(chunk_size=None, decode_unicode=True), ask)


def with_httpx(url, headers):
    import httpx

    with httpx.Client(headers=headers) as client:
        echoed = client.post(f"{url}/echo", content=BODY)
        echoed.raise_for_status()
        name = uuid.uuid4()
        with client.stream("GET", f"{url}/events?id={name}") as stream:
            stream.raise_for_status()
            ask = lambda: client.get(f"{url}/next?id={name}").raise_for_status()
            return echoed.content, read(stream.iter_lines(), ask)


def read(lines, ask):
    events = []
    for line in lines:
        if line.startswith("data: "):
            events.append(line.removeprefix("data: "))
            if len(events) < 3:
                ask()
    return events


if __name__ == "__main__":
    main()
