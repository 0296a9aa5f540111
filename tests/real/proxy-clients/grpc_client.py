"""A program with `grpcio`, which keeps to HTTPS_PROXY by itself and has certificate authorities of its own unless
GRPC_DEFAULT_SSL_ROOTS_FILE_PATH names others.

    python grpc_client.py HOST:PORT KEY_VARIABLE [plain]

Prints {"sha256", "streamed", "checksum"} and waits for the end of its standard input.
"""

import hashlib
import json
import os
import sys

import grpc

MESSAGE = bytes(range(256)) * 400


def main():
    address, variable, *plain = sys.argv[1:]
    metadata = [("authorization", f"Bearer {os.environ[variable]}")]
    channel = grpc.insecure_channel(address) if plain else grpc.secure_channel(address, grpc.ssl_channel_credentials())
    with channel:
        echoed, call = channel.unary_unary("/echo.Echo/Unary").with_call(MESSAGE, metadata=metadata, timeout=20)
        checksum = dict(call.trailing_metadata())["x-checksum"]
        streamed = list(channel.unary_stream("/echo.Echo/Stream")(MESSAGE, metadata=metadata, timeout=20))
    said = {"sha256": hashlib.sha256(echoed).hexdigest(), "streamed": streamed == [MESSAGE] * 3, "checksum": checksum}
    print(json.dumps(said), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
