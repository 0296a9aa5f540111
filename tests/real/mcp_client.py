#!/usr/bin/env python3
"""An MCP host by the official Python SDK. Options and output are those of mcp-client.mjs."""

import json
import os
import sys

import anyio
import httpx2
import mcp_types as types
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client

OPTIONS = {"era": "auto", "calls": [], "changes": False, "headers": {}, **json.loads(sys.argv[1])}
COMMAND, *ARGUMENTS = sys.argv[2:]
asked = []
changed = anyio.Event()


async def elicit(_context, _params):
    asked.append("elicitation/create")
    return types.ElicitResult(action="accept", content={"name": "ada"})


async def sample(_context, _params):
    asked.append("sampling/createMessage")
    content = types.TextContent(type="text", text="word")
    return types.CreateMessageResult(role="assistant", content=content, model="none")


async def roots(_context):
    asked.append("roots/list")
    return types.ListRootsResult(roots=[types.Root(uri="file:///work")])


async def notice(message):
    if isinstance(message, types.ToolListChangedNotification):
        changed.set()


async def call(client, tool, given):
    try:
        result = await client.call_tool(tool, given)
    except Exception as error:
        return {"tool": tool, "error": str(error)}
    text = "".join(getattr(part, "text", f"({part.type})") for part in result.content)
    return {"tool": tool, "error" if result.is_error else "text": text}


async def names(client):
    return [tool.name for tool in (await client.list_tools(cache_mode="bypass")).tools]


def server():
    if COMMAND.startswith("http"):
        return streamable_http_client(COMMAND, http_client=httpx2.AsyncClient(headers=OPTIONS["headers"]))
    return StdioServerParameters(command=COMMAND, args=ARGUMENTS, env=dict(os.environ))


async def use(client):
    seen = {
        "version": client.protocol_version,
        "server": client.server_info.name if client.server_info else None,
        "tools": await names(client),
        "results": [await call(client, *each) for each in OPTIONS["calls"]],
        "asked": asked,
    }
    if OPTIONS["changes"]:
        await changed.wait()
        seen["tools_after"] = await names(client)
    return seen


async def main():
    callbacks = {
        "elicitation_callback": elicit,
        "sampling_callback": sample,
        "list_roots_callback": roots,
        "message_handler": notice,
    }
    async with Client(server(), mode=OPTIONS["era"], **callbacks) as client:
        if OPTIONS["changes"] and client.protocol_version >= "2026":
            async with client.listen(tools_list_changed=True) as events:
                seen = await use_listening(client, events)
        else:
            seen = await use(client)
    print(json.dumps(seen))


async def use_listening(client, events):
    """The same where changes come by a subscription."""
    async with anyio.create_task_group() as group:
        async def watch():
            async for _event in events:
                changed.set()
                return

        group.start_soon(watch)
        seen = await use(client)
        group.cancel_scope.cancel()
    return seen


anyio.run(main)
