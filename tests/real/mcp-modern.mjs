#!/usr/bin/env node
// An MCP server of 2026-07-28, by the official TypeScript SDK 2.x: no handshake, arguments mirrored in headers
// (SEP-2243), input that is asked for in several rounds (SEP-2322), subscriptions.
//
//   node mcp-modern.mjs ['{"issuer": "http://127.0.0.1:…", …}']
//
//   port      0: any free one
//   issuer    whose tokens it wants; none: it is open to everybody
//   scopes    what its metadata says that it takes: ["api:read"]
//   mode      how it answers: "auto" (JSON unless something comes before the result), "sse" or "json"
//   legacy    true: speaks the older revisions as well, without sessions
//
// stdout: see mcp-front.mjs. A line `announce` on stdin adds a tool and tells all subscriptions.

import { randomBytes } from 'node:crypto';
import { toNodeHandler } from '@modelcontextprotocol/node';
import {
  McpServer,
  acceptedContent,
  createMcpHandler,
  createRequestStateCodec,
  fromJsonSchema,
  inputRequired,
} from '@modelcontextprotocol/server';
import { say, serve } from './mcp-front.mjs';

const options = JSON.parse(process.argv[2] ?? '{}');
const RESOURCE = 'test://greeting';
const object = (properties = {}) => ({ type: 'object', properties, required: Object.keys(properties) });
const text = (value) => ({ content: [{ type: 'text', text: String(value) }] });
const FORM = object({ name: { type: 'string', default: 'nobody' } });
const states = createRequestStateCodec({ key: randomBytes(32), ttlSeconds: 600 });

const TOOLS = {
  echo: [object({ text: { type: 'string' } }), (args) => text(args.text)],
  whoami: [object(), (_args, { http }) => text(http?.authInfo?.extra?.sub ?? 'nobody')],
  big: [object({ bytes: { type: 'integer' } }), ({ bytes }) => text('x'.repeat(bytes))],
  fail: [object(), () => ({ ...text('it failed'), isError: true })],
  // Ends when it is cancelled, and never otherwise.
  forever: [object(), (_args, { mcpReq }) => untilCancelled(mcpReq.signal)],
  count: [object({ to: { type: 'integer' } }), count],
  // Every kind of argument that is mirrored in a header, one inside another, and one that is not.
  mirror: [
    {
      type: 'object',
      properties: {
        region: { type: 'string', 'x-mcp-header': 'Region' },
        priority: { type: 'integer', 'x-mcp-header': 'Priority' },
        urgent: { type: 'boolean', 'x-mcp-header': 'Urgent' },
        where: { type: 'object', properties: { zone: { type: 'string', 'x-mcp-header': 'Zone' } } },
        query: { type: 'string' },
      },
      required: ['region'],
    },
    (args) => text(JSON.stringify(args)),
  ],
  elicit: [object(), elicit],
  grow: [object(), () => (announce(), text('grown'))],
  touch: [object(), () => (handler.notify.resourceUpdated(RESOURCE), text('touched'))],
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

async function count({ to }, { mcpReq }) {
  const progressToken = mcpReq._meta?.progressToken;
  for (let progress = 1; progress <= to && progressToken !== undefined; progress++) {
    await mcpReq.notify({ method: 'notifications/progress', params: { progressToken, progress, total: to } });
  }
  return text(to);
}

// Two rounds: a name by a form, then a sampled word; the name travels in the state.
async function elicit(_args, { mcpReq }) {
  const known = mcpReq.requestState();
  if (known) return text(`${known.name} ${mcpReq.inputResponses?.word?.content?.text}`);
  const answer = acceptedContent(mcpReq.inputResponses, 'name');
  if (!answer) return inputRequired({ inputRequests: { name: inputRequired.elicit({ message: 'Who?', requestedSchema: FORM }) } });
  const messages = [{ role: 'user', content: { type: 'text', text: 'say something' } }];
  return inputRequired({
    inputRequests: { word: inputRequired.createMessage({ messages, maxTokens: 10 }) },
    requestState: await states.mint(answer),
  });
}

function announce() {
  grown.add(`grown-${grown.size + 1}`);
  handler.notify.toolsChanged();
}

function makeServer() {
  const server = new McpServer(
    { name: 'modern', version: '1.0.0' },
    {
      capabilities: { tools: { listChanged: true }, resources: { subscribe: true }, prompts: {} },
      instructions: 'A server for tests.',
      requestState: { verify: states.verify },
    },
  );
  for (const [name, [schema, call]] of Object.entries(TOOLS)) {
    server.registerTool(name, { description: `Does ${name}.`, inputSchema: fromJsonSchema(schema) }, call);
  }
  for (const name of grown) server.registerTool(name, { description: 'New.', inputSchema: fromJsonSchema(object()) }, () => text(name));
  server.registerResource('greeting', RESOURCE, { mimeType: 'text/plain' }, () => ({ contents: [{ uri: RESOURCE, text: 'hello' }] }));
  server.registerPrompt('greet', {}, () => ({ messages: [{ role: 'user', content: { type: 'text', text: 'Greet me.' } }] }));
  return server;
}

const handler = createMcpHandler(makeServer, {
  legacy: options.legacy ? 'stateless' : 'reject',
  responseMode: options.mode ?? 'auto',
});
const node = toNodeHandler(handler);

await serve(options, (request, response, body) => node(request, response, body), { announce });
