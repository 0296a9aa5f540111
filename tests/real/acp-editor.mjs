#!/usr/bin/env node
// An editor, as far as an agent of the Agent Client Protocol sees it: starts a command, takes steps, writes down
// whatever comes.
//
//   node acp-editor.mjs OPTIONS COMMAND [ARGUMENT…]
//
//   capabilities   "none", "basic" (files, and a terminal to sign in at) or "all" (with those that are conventions)
//   steps          one after the other, each waits for its answer:
//                    ["initialize", PARAMS?]                what of PARAMS is there takes the place of the editor's own
//                    ["session/new", PARAMS?]               its id is that of later steps
//                    ["session/prompt", TEXT]
//                    ["authenticate", ID, META?], ["logout"]
//                    ["request", METHOD, PARAMS?], ["notify", METHOD, PARAMS?]
//                    ["start", STEP…]                       one of these, without waiting for its answer
//                    ["cancel"]                             `$/cancel_request` for what was last started
//                    ["answered"]                           waits for what was last started
//                    ["until", METHOD]                      waits until such a message has come
//                    ["pause"]                              waits for a line on stdin
//                    ["leave"]                              closes the agent's stdin at once
//   elicitation    "accept", "decline", "cancel" (the default) or "silence"
//   permission     "allow" or "reject" (the default)
//   cwd            of sessions; the editor's own
//   patience       milliseconds for each step (120000)
//
// stdout, a value a line: {"sent"} and {"got"} are messages, {"noise"} is what is none, {"stderr"} a line there;
// {"step", "method", "result" or "error" or "late", "ms"} after each step, {"pause"}; last {"end": {"code", "signal"}}.

import { spawn } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import readline from 'node:readline';

const options = { capabilities: 'none', steps: [], elicitation: 'cancel', permission: 'reject', cwd: process.cwd(), patience: 120_000,
  ...JSON.parse(process.argv[2]) };
const [command, ...args] = process.argv.slice(3);
const say = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);

const FILES = { fs: { readTextFile: true, writeTextFile: true } };
const CAPABILITIES = {
  none: {},
  basic: { ...FILES, auth: { terminal: true } },
  all: { ...FILES, terminal: true, auth: { terminal: true, _meta: { gateway: true } }, elicitation: { form: {}, url: {} }, _meta: { 'terminal-auth': true, terminal_output: true } },
};

// ------------------------------------------------------------------------------------------ the wire

const agent = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'] });
agent.stdin.on('error', () => {});
const ended = new Promise((resolve) => agent.on('close', (code, signal) => resolve({ code, signal })));
agent.on('error', (error) => say({ stderr: error.message }));
readline.createInterface({ input: agent.stderr }).on('line', (line) => say({ stderr: line }));

const waiting = new Map();
const heard = new Set();
const listeners = new Set();
let nextId = 0;
let last;
let sessionId;

function send(message) {
  say({ sent: message });
  agent.stdin.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`);
}

function request(method, params) {
  const id = nextId++;
  const answer = new Promise((resolve) => waiting.set(id, resolve));
  send({ id, method, params });
  last = { id, method, answer };
  return last;
}

function receive(line) {
  let message;
  try {
    message = JSON.parse(line);
  } catch {
    return say({ noise: line });
  }
  say({ got: message });
  if (message.method === undefined) return waiting.get(message.id)?.(message);
  heard.add(message.method);
  listeners.forEach((listener) => listener());
  return message.id === undefined ? undefined : answer(message);
}
readline.createInterface({ input: agent.stdout }).on('line', receive);

// ------------------------------------------------------------------------------------------ what an agent asks

async function resultOf({ method, params }) {
  switch (method) {
    case 'session/request_permission': {
      const option = params.options.find(({ kind }) => kind.startsWith(options.permission));
      return { outcome: option ? { outcome: 'selected', optionId: option.optionId } : { outcome: 'cancelled' } };
    }
    case 'fs/read_text_file': return { content: await readFile(params.path, 'utf8') };
    case 'fs/write_text_file': return (await writeFile(params.path, params.content)) ?? {};
    case 'elicitation/create': return { action: options.elicitation };
    default: throw new Error(`no such method: ${method}`);
  }
}

async function answer(message) {
  if (message.method === 'elicitation/create' && options.elicitation === 'silence') return;
  const { id } = message;
  await resultOf(message).then(
    (result) => send({ id, result }),
    (error) => send({ id, error: { code: -32601, message: error.message } }),
  );
}

// ------------------------------------------------------------------------------------------ steps

const SELF = { name: 'acp-editor', title: 'Editor of the tests', version: '1.0.0' };

/** The request of a step. */
function begin([name, first, second]) {
  switch (name) {
    case 'initialize':
      return request(name, { protocolVersion: 1, clientCapabilities: CAPABILITIES[options.capabilities], clientInfo: SELF, ...first });
    case 'session/new': return request(name, { cwd: options.cwd, mcpServers: [], ...first });
    case 'session/prompt': return request(name, { sessionId, prompt: [{ type: 'text', text: first }] });
    case 'authenticate': return request(name, { methodId: first, ...(second && { _meta: second }) });
    case 'request': return request(first, { ...second });
    default: return request(name, first ?? {});
  }
}

const line = () => new Promise((resolve) => input.once('line', resolve));
const input = readline.createInterface({ input: process.stdin });

function until(method) {
  return new Promise((resolve) => {
    const look = () => heard.has(method) && listeners.delete(look) | resolve();
    listeners.add(look);
    look();
  });
}

function take(step) {
  const [name, first, second] = step;
  switch (name) {
    case 'notify': return send({ method: first, params: second ?? {} });
    case 'start': return void begin(step.slice(1));
    case 'cancel': return send({ method: '$/cancel_request', params: { requestId: last.id } });
    case 'answered': return last.answer;
    case 'until': return until(first);
    case 'pause':
      say({ pause: first ?? null });
      return line();
    case 'leave': return void agent.stdin.end();
    default: return begin(step).answer;
  }
}

async function late() {
  let timer;
  const gone = ended.then(() => ({ late: 'the agent is gone' }));
  const over = new Promise((resolve) => (timer = setTimeout(resolve, options.patience, { late: options.patience })));
  return { race: (work) => Promise.race([work, gone, over]).finally(() => clearTimeout(timer)) };
}

for (const [n, step] of options.steps.entries()) {
  const begun = performance.now();
  const { race } = await late();
  const { result, error, late: reason } = (await race(Promise.resolve(take(step)))) ?? {};
  if (result?.sessionId) sessionId = result.sessionId;
  say({ step: n, method: step[0], result, error, late: reason, ms: Math.round(performance.now() - begun) });
}
agent.stdin.end();
const killer = setTimeout(() => agent.kill('SIGTERM'), 10_000);
const end = await ended;
clearTimeout(killer);
say({ end });
input.close();
process.exit(0);
