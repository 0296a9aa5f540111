#!/usr/bin/env node
// An MCP server of the revisions up to 2025-11-25, by the official TypeScript SDK 1.x: sessions, GET streams,
// resumption, requests to the client.
//
//   node mcp-legacy.mjs ['{"issuer": "http://127.0.0.1:…", …}']
//
//   port      0: any free one
//   issuer    whose tokens it wants; none: it is open to everybody
//   scopes    what its metadata says that it takes: ["api:read"]
//   json      true: answers with JSON instead of event streams
//   stateless true: without sessions
//   sse       true: the transport of 2024-11-05 instead, a GET stream and posts
//
// stdout: see mcp-front.mjs. A line `forget` on stdin makes it forget all sessions, as a restart does; `announce`
// adds a tool and tells all sessions.

import { randomUUID } from 'node:crypto';
import { Server } from '@modelcontextprotocol/sdk/server/index.js';
import { SSEServerTransport } from '@modelcontextprotocol/sdk/server/sse.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import {
  CallToolRequestSchema,
  GetPromptRequestSchema,
  ListPromptsRequestSchema,
  ListResourcesRequestSchema,
  ListToolsRequestSchema,
  ReadResourceRequestSchema,
  SubscribeRequestSchema,
  UnsubscribeRequestSchema,
  isInitializeRequest,
} from '@modelcontextprotocol/sdk/types.js';
import { say, serve } from './mcp-front.mjs';

const options = JSON.parse(process.argv[2] ?? '{}');
const RESOURCE = { uri: 'test://greeting', name: 'greeting', mimeType: 'text/plain' };
const object = (properties = {}) => ({ type: 'object', properties, required: Object.keys(properties) });
const text = (value) => ({ content: [{ type: 'text', text: String(value) }] });
const FORM = object({ name: { type: 'string', default: 'nobody' } });

// What each tool does; `extra` is what the SDK knows of the request.
const TOOLS = {
  echo: [object({ text: { type: 'string' } }), (_server, args) => text(args.text)],
  whoami: [object(), (_server, _args, extra) => text(extra.authInfo?.extra?.sub ?? 'nobody')],
  big: [object({ bytes: { type: 'integer' } }), (_server, { bytes }) => text('x'.repeat(bytes))],
  fail: [object(), () => ({ ...text('it failed'), isError: true })],
  // Ends when it is cancelled, and never otherwise.
  forever: [object(), (_server, _args, { signal }) => untilCancelled(signal)],
  count: [object({ to: { type: 'integer' } }), count],
  // Its answer comes after the stream of its request was closed: the client has to come back for it.
  cut: [object(), cut],
  elicit: [object(), async (server) => text(JSON.stringify(await server.elicitInput({ message: 'Who?', requestedSchema: FORM })))],
  sample: [object(), sample],
  roots: [object(), async (server) => text((await server.listRoots()).roots.map(({ uri }) => uri))],
  // Adds a tool and says so.
  grow: [object(), async (server) => (await grow(server), text('grown'))],
  touch: [object(), async (server) => (await server.sendResourceUpdated({ uri: RESOURCE.uri }), text('touched'))],
};
const grown = new Set();

function untilCancelled(signal) {
  return new Promise((_, reject) => {
    signal.addEventListener('abort', () => {
      say({ cancelled: 'forever' });
      reject(new Error('cancelled'));
    });
  });
}

async function count(_server, { to }, { _meta, sendNotification }) {
  for (let progress = 1; progress <= to && _meta?.progressToken !== undefined; progress++) {
    const params = { progressToken: _meta.progressToken, progress, total: to };
    await sendNotification({ method: 'notifications/progress', params });
  }
  return text(to);
}

function cut(_server, _args, { closeSSEStream }) {
  closeSSEStream?.();
  return text('after the cut');
}

async function sample(server) {
  const messages = [{ role: 'user', content: { type: 'text', text: 'say something' } }];
  return text((await server.createMessage({ messages, maxTokens: 10 })).content.text);
}

async function grow(server) {
  grown.add(`grown-${grown.size + 1}`);
  await server.sendToolListChanged();
}

function makeServer() {
  const server = new Server(
    { name: 'legacy', version: '1.0.0' },
    {
      capabilities: { tools: { listChanged: true }, resources: { subscribe: true }, prompts: {}, logging: {} },
      instructions: 'A server for tests.',
    },
  );
  const tool = (name) => ({ name, description: `Does ${name}.`, inputSchema: TOOLS[name]?.[0] ?? object() });
  server.setRequestHandler(ListToolsRequestSchema, () => ({ tools: [...Object.keys(TOOLS), ...grown].map(tool) }));
  server.setRequestHandler(CallToolRequestSchema, ({ params }, extra) => {
    const [, call] = TOOLS[params.name] ?? [undefined, () => ({ ...text(`no tool ${params.name}`), isError: true })];
    return call(server, params.arguments ?? {}, extra);
  });
  server.setRequestHandler(ListResourcesRequestSchema, () => ({ resources: [RESOURCE] }));
  server.setRequestHandler(ReadResourceRequestSchema, ({ params }) => ({ contents: [{ uri: params.uri, text: 'hello' }] }));
  server.setRequestHandler(SubscribeRequestSchema, () => ({}));
  server.setRequestHandler(UnsubscribeRequestSchema, () => ({}));
  server.setRequestHandler(ListPromptsRequestSchema, () => ({ prompts: [{ name: 'greet' }] }));
  server.setRequestHandler(GetPromptRequestSchema, () => ({
    messages: [{ role: 'user', content: { type: 'text', text: 'Greet me.' } }],
  }));
  return server;
}

// ------------------------------------------------------------------------------------------------- sessions

/** Events of all streams in the order in which they came, so that a stream can be taken up again. */
class Events {
  #events = [];

  async storeEvent(streamId, message) {
    this.#events.push({ streamId, message });
    return String(this.#events.length);
  }

  async getStreamIdForEventId(eventId) {
    return this.#events[Number(eventId) - 1]?.streamId;
  }

  async replayEventsAfter(lastEventId, { send }) {
    const streamId = await this.getStreamIdForEventId(lastEventId);
    for (const [index, event] of this.#events.entries()) {
      const isNew = index >= Number(lastEventId) && event.streamId === streamId;
      if (isNew && Object.keys(event.message).length > 0) await send(String(index + 1), event.message);
    }
    return streamId;
  }
}

const sessions = new Map();

async function open(isStateless) {
  const server = makeServer();
  const transport = new StreamableHTTPServerTransport({
    sessionIdGenerator: isStateless ? undefined : randomUUID,
    onsessioninitialized: (id) => sessions.set(id, { server, transport }),
    enableJsonResponse: options.json ?? false,
    eventStore: isStateless ? undefined : new Events(),
    retryInterval: 100,
  });
  transport.onclose = () => sessions.delete(transport.sessionId);
  await server.connect(transport);
  return transport;
}

const refuse = (response, status, code, message) => {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify({ jsonrpc: '2.0', id: null, error: { code, message } }));
};

async function streamable(request, response, body) {
  const id = request.headers['mcp-session-id'];
  if (options.stateless) return (await open(true)).handleRequest(request, response, body);
  if (id && !sessions.has(id)) return refuse(response, 404, -32001, 'Session not found');
  if (!id && !isInitializeRequest(body)) return refuse(response, 400, -32000, 'Bad Request: no session');
  const transport = id ? sessions.get(id).transport : await open(false);
  return transport.handleRequest(request, response, body);
}

// The transport of 2024-11-05, at one path: GET opens the stream, whose first event says where to post.
async function sse(request, response, body) {
  const { searchParams } = new URL(request.url, 'http://localhost');
  const known = sessions.get(searchParams.get('sessionId'));
  if (known) return known.transport.handlePostMessage(request, response, body);
  if (request.method !== 'GET') return refuse(response, 400, -32602, 'Missing sessionId');
  const server = makeServer();
  const transport = new SSEServerTransport('/mcp', response);
  sessions.set(transport.sessionId, { server, transport });
  await server.connect(transport);
}

await serve(options, options.sse ? sse : streamable, {
  forget: async () => {
    for (const { transport } of sessions.values()) await transport.close();
    sessions.clear();
  },
  announce: async () => {
    grown.add(`grown-${grown.size + 1}`);
    for (const { server } of sessions.values()) await server.sendToolListChanged();
  },
});
