#!/usr/bin/env node
// Measures `authctl mcp URL` against the same server asked directly, in one run.
//
//   node benches/mcp.mjs BRIDGE [ARGUMENTS…]      e.g. node benches/mcp.mjs target/release/authctl mcp
//
// The bridge gets the server's address as its last argument, and may be any bridge on stdio. CPU and memory are the
// kernel's figures for the bridge's process alone (/proc), in ticks of 10 ms.

import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import http from 'node:http';

const COLD_STARTS = 15;
const CALLS = 2_000;
const CALLS_AT_ONCE = 10_000;
const IN_FLIGHT = 32;
const LARGE = 10_000_000;
// With 24 the median of the ratio swings from 1.1 to 1.6 on a busy machine; with 60 it stays within 0.98 to 1.16.
const LARGE_ROUNDS = 60;
const HELLO = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'bench', version: '1' } };

const large = 'x'.repeat(LARGE);

function resultOf({ method, params }) {
  switch (method) {
    case 'initialize':
      return { protocolVersion: HELLO.protocolVersion, capabilities: { tools: {} }, serverInfo: { name: 'bench', version: '1' } };
    case 'tools/list':
      return { tools: [{ name: 'echo', inputSchema: { type: 'object' } }] };
    case 'tools/call':
      return { content: [{ type: 'text', text: params.arguments.large ? large : params.arguments.text }] };
    default:
      return undefined;
  }
}

function answer(response, message) {
  if (message.id === undefined) return response.writeHead(202).end();
  const result = resultOf(message);
  const outcome = result ? { result } : { error: { code: -32601, message: 'no such method' } };
  const body = Buffer.from(JSON.stringify({ jsonrpc: '2.0', id: message.id, ...outcome }));
  if (message.params?.arguments?.events) {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write('event: message\ndata: ');
    response.write(body);
    return response.end('\n\n');
  }
  return response.writeHead(200, { 'content-type': 'application/json', 'content-length': body.length }).end(body);
}

async function serve() {
  const server = http.createServer(async (request, response) => {
    if (request.method !== 'POST') return response.writeHead(405).end();
    const pieces = [];
    for await (const piece of request) pieces.push(piece);
    return answer(response, JSON.parse(Buffer.concat(pieces)));
  });
  server.keepAliveTimeout = 60_000;
  await new Promise((ready) => server.listen(0, '127.0.0.1', ready));
  return `http://127.0.0.1:${server.address().port}/mcp`;
}

/** Asks the server itself. */
function direct(url) {
  const agent = new http.Agent({ keepAlive: true });
  const headers = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' };
  return (method, params) => new Promise((done, failed) => {
    const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method, params });
    const options = { method: 'POST', agent, headers: { ...headers, 'content-length': Buffer.byteLength(body) } };
    const request = http.request(url, options, (response) => {
      const pieces = [];
      response.on('data', (piece) => pieces.push(piece));
      response.on('end', () => done(Buffer.concat(pieces)));
    });
    request.on('error', failed).end(body);
  });
}

/** A bridge that runs, and a call through it; large answers are told by being the only ones under way. */
function start([program, ...given], url) {
  const child = spawn(program, [...given, url], { stdio: ['pipe', 'pipe', 'ignore'] });
  const waiting = new Map();
  let id = 0;
  let pieces = [];
  const settle = (line) => {
    const key = line.length > 100_000 ? id : JSON.parse(line).id;
    waiting.get(key)?.(line);
    waiting.delete(key);
  };
  child.stdout.on('data', (piece) => {
    let from = 0;
    for (let end = piece.indexOf(10); end >= 0; end = piece.indexOf(10, from)) {
      settle(Buffer.concat([...pieces, piece.subarray(from, end)]));
      pieces = [];
      from = end + 1;
    }
    if (from < piece.length) pieces.push(piece.subarray(from));
  });
  const write = (message) => child.stdin.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`);
  const call = (method, params) => new Promise((done) => {
    id += 1;
    waiting.set(id, done);
    write({ id, method, params });
  });
  const greet = async () => {
    await call('initialize', HELLO);
    write({ method: 'notifications/initialized' });
    await call('tools/list', {});
  };
  const end = async () => {
    const gone = new Promise((done) => child.on('exit', done));
    child.stdin.end();
    await gone;
  };
  return { pid: child.pid, call, greet, end };
}

/** User and system time of a process so far, in milliseconds. */
function cpu(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

function mebibytes(pid, key) {
  return Number(readFileSync(`/proc/${pid}/status`, 'utf8').match(new RegExp(`${key}:\\s+(\\d+)`))[1]) / 1024;
}

/** The value that `share` of the list lies below. */
function quantile(list, share) {
  return list.toSorted((a, b) => a - b)[Math.floor(list.length * share)];
}

const median = (list) => quantile(list, 0.5);

const quartiles = (list) => [0.25, 0.5, 0.75].map((share) => quantile(list, share).toFixed(0)).join('/');

const echo = (n) => ({ name: 'echo', arguments: { text: 'hello', n } });

async function coldStarts(bridge, url) {
  const walls = [];
  let spent = 0;
  for (let round = 0; round < COLD_STARTS; round += 1) {
    const began = performance.now();
    const running = start(bridge, url);
    await running.greet();
    walls.push(performance.now() - began);
    spent += cpu(running.pid);
    await running.end();
  }
  console.log(`cold start to tools/list: ${median(walls).toFixed(1)} ms wall (≤ 60), ${(spent / COLD_STARTS).toFixed(1)} ms CPU (≤ 50)`);
}

/** Microseconds of wall time of one call at a time, and of the bridge's CPU. */
async function oneByOne(call, pid) {
  const walls = [];
  const before = cpu(pid);
  for (let n = 0; n < CALLS; n += 1) {
    const began = performance.now();
    await call('tools/call', echo(n));
    walls.push((performance.now() - began) * 1000);
  }
  return { wall: median(walls), cpu: ((cpu(pid) - before) * 1000) / CALLS };
}

async function manyAtOnce(call, pid) {
  const before = cpu(pid);
  const began = performance.now();
  let next = 0;
  const worker = async () => {
    while (next < CALLS_AT_ONCE) await call('tools/call', echo((next += 1)));
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, worker));
  const rate = (CALLS_AT_ONCE / (performance.now() - began)) * 1000;
  return { rate, cpu: ((cpu(pid) - before) * 1000) / CALLS_AT_ONCE };
}

async function largeResults(call, asked, events) {
  const params = { name: 'echo', arguments: { large: true, events } };
  const walls = { direct: [], bridge: [] };
  for (let round = 0; round < LARGE_ROUNDS; round += 1) {
    // By turns: whoever is asked second pays for the garbage of the first.
    const both = [['direct', asked], ['bridge', call]];
    for (const [name, ask] of round % 2 ? both : both.toReversed()) {
      const began = performance.now();
      await ask('tools/call', params);
      walls[name].push(performance.now() - began);
    }
  }
  const ratio = median(walls.bridge) / median(walls.direct);
  const spread = `quartiles ${quartiles(walls.bridge)} ms, direct ${quartiles(walls.direct)} ms`;
  console.log(`10 MB result as ${events ? 'events' : 'JSON'}: ${ratio.toFixed(2)} × direct (≤ 1.3); ${spread}`);
}

async function main(bridge) {
  const url = await serve();
  await coldStarts(bridge, url);
  const asked = direct(url);
  const running = start(bridge, url);
  const { pid, call } = running;
  await running.greet();
  console.log(`idle: ${mebibytes(pid, 'VmRSS').toFixed(1)} MiB (≤ 15)`);
  for (let n = 0; n < 200; n += 1) await Promise.all([call('tools/call', echo(n)), asked('tools/call', echo(n))]);
  const plain = await oneByOne(asked, pid);
  const one = await oneByOne(call, pid);
  console.log(`one call at a time: ${(one.wall / plain.wall).toFixed(2)} × direct, ${one.cpu.toFixed(0)} µs CPU a call (≤ 300)`);
  const many = await manyAtOnce(call, pid);
  console.log(`${IN_FLIGHT} in flight: ${many.rate.toFixed(0)} calls/s (≥ 2,500), ${many.cpu.toFixed(0)} µs CPU a call`);
  await largeResults(call, asked, false);
  await largeResults(call, asked, true);
  console.log(`peak: ${mebibytes(pid, 'VmHWM').toFixed(1)} MiB (< 60)`);
  await running.end();
}

await main(process.argv.slice(2));
process.exit(0);
