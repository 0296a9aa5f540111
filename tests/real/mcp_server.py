#!/usr/bin/env python3
"""An MCP server by the official Python SDK, of both eras: over stdio, or over HTTP.

    mcp_server.py stdio
    mcp_server.py http ['{"json": true, "stateless": true}']

Over HTTP the first line of stdout is {"url"}, and it ends when stdin ends.
"""

import json
import os
import sys
from typing import Annotated

import anyio
import uvicorn
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.resolve import Elicit, Resolve
from pydantic import BaseModel

server = MCPServer("python", instructions="A server for tests.")


class Person(BaseModel):
    name: str = "nobody"


@server.tool()
def echo(text: str) -> str:
    """Says it again."""
    return text


@server.tool()
def variable(name: str) -> str:
    """The value of a variable of its environment."""
    return os.environ.get(name, "")


@server.tool()
def big(bytes: int) -> str:
    """A long text."""
    return "x" * bytes


def who() -> Elicit[Person]:
    """Asked by a request of the server or by a round more, as the era has it."""
    return Elicit("Who?", Person)


@server.tool()
def elicit(person: Annotated[Person, Resolve(who)]) -> str:
    """Asks who you are."""
    return person.name


@server.tool()
async def count(to: int, context: Context) -> str:
    """Counts, and says how far it is."""
    for progress in range(1, to + 1):
        await context.report_progress(progress, to)
    return str(to)


class Announcing(uvicorn.Server):
    """Says where it listens once it does."""

    async def startup(self, sockets=None):
        await super().startup(sockets=sockets)
        port = self.servers[0].sockets[0].getsockname()[1]
        print(json.dumps({"url": f"http://127.0.0.1:{port}/mcp"}), flush=True)


async def serve_http(options):
    app = server.streamable_http_app(
        json_response=options.get("json", False), stateless_http=options.get("stateless", False)
    )
    config = uvicorn.Config(app, host="127.0.0.1", port=options.get("port", 0), log_level="warning")
    await Announcing(config).serve()


async def main():
    async with anyio.create_task_group() as group:
        group.start_soon(serve_http, json.loads(sys.argv[2]) if len(sys.argv) > 2 else {})
        await anyio.to_thread.run_sync(sys.stdin.read)
        os._exit(0)


if sys.argv[1] == "stdio":
    server.run("stdio")
else:
    anyio.run(main)
