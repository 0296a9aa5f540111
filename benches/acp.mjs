#!/usr/bin/env node
// Measures `authctl acp` against the same agent started directly, in one run.
//
//   node benches/acp.mjs [AUTHCTL]           target/release/authctl
//
//   MESSAGES=1000000   of the run that looks at memory
//
// The agent is this script itself (`--agent`), as small as one can be in Node. Start-up is the time from the start
// of the process to the answer to `initialize`, and to `session/new`; both commands take turns. CPU and memory are
// the kernel's figures for authctl's process alone (/proc), in ticks of 10 ms.

import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import readline from 'node:readline';

const STARTS = 31;
const MESSAGES = Number(process.env.MESSAGES ?? 1_000_000);
const AT_ONCE = 1000;
const TICK = 10_000;

// ------------------------------------------------------------------------------------------ the agent

const chunk = { sessionUpdate: 'agent_message_chunk', content: { type: 'text', text: 'a few words of an answer ' } };

/** Answers, and says as many chunks as a prompt asks for. */
function play() {
  const pipe = (text) => process.stdout.write(text);
  const say = (message) => pipe(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`);
  const update = `${JSON.stringify({ jsonrpc: '2.0', method: 'session/update', params: { sessionId: 's', update: chunk } })}\n`;
  const resultOf = {
    initialize: () => ({ protocolVersion: 1, agentCapabilities: { loadSession: true }, authMethods: [] }),
    'session/new': () => ({ sessionId: 's' }),
  };
  async function prompt({ id, params }) {
    for (let left = params.chunks; left > 0; left -= AT_ONCE) {
      if (!pipe(update.repeat(Math.min(left, AT_ONCE)))) await new Promise((drained) => process.stdout.once('drain', drained));
    }
    say({ id, result: { stopReason: 'end_turn' } });
  }
  const answer = (message) => (message.method === 'session/prompt' ? prompt(message) : say({ id: message.id, result: resultOf[message.method]?.() ?? {} }));
  readline.createInterface({ input: process.stdin }).on('line', (line) => answer(JSON.parse(line))).on('close', () => process.exit(0));
}

// ------------------------------------------------------------------------------------------ the editor

const home = process.argv[2] === '--agent' ? undefined : mkdtempSync(path.join(os.tmpdir(), 'bench-acp-'));
const AUTHCTL = path.resolve(process.argv[2] ?? 'target/release/authctl');
const AGENT = [process.execPath, import.meta.filename, '--agent'];
const env = { PATH: process.env.PATH, HOME: home, AUTHCTL_STORE: 'file', AUTHCTL_LOCK_DIR: `${home}/locks`, AUTHCTL_OPENAI_TOKEN: 'sk-bench' };

/** A command that is spoken to; only answers are parsed. */
function start(command) {
  const begun = performance.now();
  const child = spawn(command[0], command.slice(1), { env, stdio: ['pipe', 'pipe', 'ignore'] });
  const waiting = new Map();
  let rest = '';
  let lines = 0;
  child.stdout.setEncoding('utf8').on('data', (text) => {
    const whole = (rest + text).split('\n');
    rest = whole.pop();
    lines += whole.length;
    for (const line of whole) if (line.includes('"result"')) waiting.get(JSON.parse(line).id)?.();
  });
  let id = 0;
  const ask = (method, params) => new Promise((done) => {
    waiting.set((id += 1), done);
    child.stdin.write(`${JSON.stringify({ jsonrpc: '2.0', id, method, params })}\n`);
  });
  const end = () => new Promise((done) => child.on('close', done) && child.stdin.end());
  return { ask, end, pid: child.pid, since: () => performance.now() - begun, lines: () => lines };
}

const hello = (agent) => agent.ask('initialize', { protocolVersion: 1, clientCapabilities: {} });
const open = (agent) => agent.ask('session/new', { cwd: home, mcpServers: [] });
const prompt = (agent, chunks) => agent.ask('session/prompt', { sessionId: 's', prompt: [], chunks });

const median = (list) => list.toSorted((a, b) => a - b)[Math.floor(list.length / 2)];
const statOf = (pid) => readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
const cpu = (pid) => (Number(statOf(pid)[11]) + Number(statOf(pid)[12])) * TICK;
const memory = (pid) => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]);

async function starting(commands) {
  const times = commands.map(() => ({ hello: [], open: [] }));
  for (let n = 0; n < STARTS; n += 1) {
    for (const [which, command] of commands.entries()) {
      const agent = start(command);
      await hello(agent);
      times[which].hello.push(agent.since());
      await open(agent);
      times[which].open.push(agent.since());
      await agent.end();
    }
  }
  return times.map(({ hello, open }) => ({ hello: median(hello), open: median(open) }));
}

async function relaying(command) {
  const agent = start(command);
  await hello(agent);
  await open(agent);
  await prompt(agent, 10_000);
  const before = { cpu: cpu(agent.pid), memory: memory(agent.pid), lines: agent.lines() };
  const heights = [];
  for (let n = 0; n < 10; n += 1) {
    await prompt(agent, MESSAGES / 10);
    heights.push(memory(agent.pid));
  }
  const each = (cpu(agent.pid) - before.cpu) / (agent.lines() - before.lines);
  await agent.end();
  return { each, first: before.memory, heights };
}

async function main() {
  mkdirSync(env.AUTHCTL_LOCK_DIR, { mode: 0o700 });
  const through = [AUTHCTL, 'acp', '--with', 'openai', '--', ...AGENT];
  const [alone, added] = await starting([AGENT, through]);
  for (const [what, name] of [['initialize', 'hello'], ['session/new', 'open']]) {
    const more = (added[name] - alone[name]).toFixed(1);
    console.log(`start to ${what}: ${alone[name].toFixed(1)} ms alone, ${added[name].toFixed(1)} ms through authctl: ${more} ms more (20 at most)`);
  }
  const { each, first, heights } = await relaying(through);
  console.log(`CPU of a relayed message: ${each.toFixed(1)} µs (50 at most)`);
  console.log(`memory over ${MESSAGES} messages: ${first} kB, then ${heights.join(', ')} kB`);
  rmSync(home, { recursive: true });
}

if (home === undefined) play();
else await main();
