#!/usr/bin/env node
// An agent and an editor by the official TypeScript SDK.
//
//   node acp-sdk.mjs agent                       wants OPENAI_API_KEY; asks the models at OPENAI_BASE_URL
//   node acp-sdk.mjs editor COMMAND [ARGUMENT…]  a session with one prompt
//
// The editor's stdout: {"methods", "stop", "text"}, or {"error": {"code", "message"}}.

import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { Readable, Writable } from 'node:stream';

const place = path.join(import.meta.dirname, 'acp-agents/node_modules/@agentclientprotocol/sdk/dist/v1/stable/acp.js');
const acp = await import(pathToFileURL(place));
const { agent: agentSide, client: clientSide } = acp.methods;
const over = (output, input) => acp.ndJsonStream(Writable.toWeb(output), Readable.toWeb(input));

/** What the model says. */
async function complete() {
  const { OPENAI_API_KEY: key, OPENAI_BASE_URL: base } = process.env;
  const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' };
  const answer = await fetch(`${base}/chat/completions`, { method: 'POST', headers, body: JSON.stringify({ model: 'fake-model', messages: [] }) });
  if (!answer.ok) throw acp.RequestError.authRequired();
  return (await answer.json()).choices[0].message.content;
}

function serve() {
  const authMethods = [{ id: 'openai', name: 'OpenAI', description: 'Set OPENAI_API_KEY' }];
  acp
    .agent({ name: 'sdk-agent' })
    .onRequest(agentSide.initialize, () => ({ protocolVersion: acp.PROTOCOL_VERSION, agentCapabilities: {}, authMethods }))
    .onRequest(agentSide.session.new, () => {
      if (!process.env.OPENAI_API_KEY) throw acp.RequestError.authRequired();
      return { sessionId: randomUUID() };
    })
    .onRequest(agentSide.session.prompt, async ({ params, client }) => {
      const content = { type: 'text', text: await complete() };
      await client.notify(clientSide.session.update, { sessionId: params.sessionId, update: { sessionUpdate: 'agent_message_chunk', content } });
      return { stopReason: 'end_turn' };
    })
    .connect(over(process.stdout, process.stdin));
}

async function edit([command, ...args]) {
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  let text = '';
  const editor = acp.client({ name: 'sdk-editor' }).onNotification(clientSide.session.update, ({ params }) => {
    text += params.update.content?.text ?? '';
  });
  const seen = await editor.connectWith(over(child.stdin, child.stdout), async (agent) => {
    const { authMethods } = await agent.request(agentSide.initialize, { protocolVersion: acp.PROTOCOL_VERSION, clientCapabilities: {} });
    try {
      const { sessionId } = await agent.request(agentSide.session.new, { cwd: process.cwd(), mcpServers: [] });
      const { stopReason } = await agent.request(agentSide.session.prompt, { sessionId, prompt: [{ type: 'text', text: 'hi' }] });
      return { methods: authMethods, stop: stopReason, text };
    } catch ({ code, message }) {
      return { methods: authMethods, error: { code, message } };
    }
  });
  child.stdin.end();
  console.log(JSON.stringify(seen));
}

if (process.argv[2] === 'agent') serve();
else await edit(process.argv.slice(3));
