"""A program with `websockets`, which keeps to HTTPS_PROXY by itself.

    python websocket_client.py URL KEY_VARIABLE

Prints {"sha256"} of what came back, over all messages, and waits for the end of its standard input.
"""

import hashlib
import json
import os
import sys

from websockets.sync.client import connect

MESSAGES = ["hello", bytes(range(256)) * 4096, ""]


def main():
    url, variable = sys.argv[1:]
    headers = {"authorization": f"Bearer {os.environ[variable]}"}
    digest = hashlib.sha256()
    with connect(url.replace("http", "ws", 1), additional_headers=headers, max_size=None) as socket:
        for message in MESSAGES:
            socket.send(message)
            echoed = socket.recv()
            assert type(echoed) is type(message)
            digest.update(echoed.encode() if isinstance(echoed, str) else echoed)
    print(json.dumps({"sha256": digest.hexdigest()}), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
