#!/usr/bin/env node
// An MCP host by the official TypeScript SDK, over the stdio of a command or at a URL.
//
//   node mcp-client.mjs OPTIONS COMMAND [ARGUMENT…]
//   node mcp-client.mjs OPTIONS URL
//
// OPTIONS is JSON, the same for all hosts here (mcp-client.mjs, mcp_client.py, rmcp):
//
//   sdk       1 or 2: which line of the SDK (2; this host alone)
//   era       "legacy": `initialize`; "auto": `server/discover` first (2 only)
//   calls     [[TOOL, ARGUMENTS], …], one after the other
//   changes   true: waits until the list of tools changed, and lists again
//   headers   of requests to a URL
//   digests   true: says what bodies it sent to the URL and got from there (this host alone)
//
// stdout: {"version", "server", "tools", "results": [{"tool", "text" or "error"}], "asked", "tools_after"}, where
// `asked` are the questions of the server, which it answers with "ada", "word" and a root; and "bodies":
// [{"method", "gave", "got"}] with the SHA-256 of the bodies of each exchange that came to its end.

import { createHash } from 'node:crypto';
import { Client as LegacyClient } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport as LegacyStdio } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport as LegacyHttp } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import {
  CreateMessageRequestSchema,
  ElicitRequestSchema,
  ListRootsRequestSchema,
  ToolListChangedNotificationSchema,
} from '@modelcontextprotocol/sdk/types.js';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';

const options = { sdk: 2, era: 'auto', calls: [], changes: false, headers: {}, ...JSON.parse(process.argv[2]) };
const [command, ...args] = process.argv.slice(3);
const isModern = options.sdk === 2;
const asked = [];
let tellChanged;
const changed = new Promise((resolve) => (tellChanged = resolve));

const bodies = [];

/** The answer with a body that is looked at on its way. */
async function watched(url, init = {}) {
  const response = await fetch(url, init);
  const hash = (bytes) => createHash('sha256').update(bytes);
  const gave = hash(init.body ?? '').digest('hex');
  const got = createHash('sha256');
  const end = () => bodies.push({ method: init.method ?? 'GET', gave, got: got.digest('hex') });
  const pass = (piece, way) => way.enqueue(got.update(piece) && piece);
  const body = response.body?.pipeThrough(new TransformStream({ transform: pass, flush: end }));
  if (!body) end();
  const { status, statusText, headers } = response;
  return new Response(body ?? null, { status, statusText, headers });
}

function connection() {
  const [Http, Stdio] = isModern ? [StreamableHTTPClientTransport, StdioClientTransport] : [LegacyHttp, LegacyStdio];
  if (/^https?:/.test(command)) {
    return new Http(new URL(command), { requestInit: { headers: options.headers }, ...(options.digests && { fetch: watched }) });
  }
  return new Stdio({ command, args, env: process.env });
}

function makeClient() {
  const identity = { name: 'typescript-host', version: '1.0.0' };
  const capabilities = { elicitation: { form: {} }, sampling: {}, roots: {} };
  if (!isModern) return new LegacyClient(identity, { capabilities });
  const tools = { autoRefresh: false, debounceMs: 0, onChanged: () => tellChanged() };
  const negotiation = { versionNegotiation: { mode: options.era } };
  return new Client(identity, { capabilities, ...negotiation, ...(options.changes && { listChanged: { tools } }) });
}

// The two lines of the SDK name a request by its method and by its schema.
function answer(client, method, schema, result) {
  client.setRequestHandler(isModern ? method : schema, () => {
    asked.push(method);
    return result;
  });
}

async function call(client, [name, given]) {
  try {
    const result = await client.callTool({ name, arguments: given });
    const text = result.content.map((part) => part.text ?? `(${part.type})`).join('');
    return result.isError ? { tool: name, error: text } : { tool: name, text };
  } catch (error) {
    return { tool: name, error: error.message };
  }
}

const names = async (client) => (await client.listTools()).tools.map(({ name }) => name);

const client = makeClient();
answer(client, 'elicitation/create', ElicitRequestSchema, { action: 'accept', content: { name: 'ada' } });
answer(client, 'roots/list', ListRootsRequestSchema, { roots: [{ uri: 'file:///work' }] });
const word = { role: 'assistant', content: { type: 'text', text: 'word' }, model: 'none' };
answer(client, 'sampling/createMessage', CreateMessageRequestSchema, word);
if (!isModern) client.setNotificationHandler(ToolListChangedNotificationSchema, () => tellChanged());

await client.connect(connection());
const seen = {
  version: isModern ? client.getNegotiatedProtocolVersion() : client.transport._protocolVersion,
  server: client.getServerVersion()?.name,
  tools: await names(client),
  results: [],
  asked,
};
for (const next of options.calls) seen.results.push(await call(client, next));
if (options.changes) {
  await changed;
  seen.tools_after = await names(client);
}
await client.close();
if (options.digests) seen.bodies = bodies;
console.log(JSON.stringify(seen));
