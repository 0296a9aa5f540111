#!/usr/bin/env node
// Measures `authctl proxy` against nginx with as many workers, at the same origin and in one run.
//
//   node benches/proxy.mjs [AUTHCTL]           target/release/authctl
//
//   SECONDS=5      of each run of wrk
//   VARLOCK=…      varlock's program, to compare how a command is started
//
// nginx and wrk are Debian's. The origin (nginx too) refuses requests without the header, which both proxies put in:
// nginx from its configuration, authctl after it has checked the key of the session. CPU and memory are the kernel's
// figures for the processes of a proxy alone (/proc), in ticks of 10 ms. Every stage takes turns, so that what else
// the machine does meets all alike.

import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import readline from 'node:readline';

const BINARY = path.resolve(process.argv[2] ?? 'target/release/authctl');
const SECONDS = Number(process.env.SECONDS ?? 5);
const CONNECTIONS = [1, 16, 64];
const ROUNDS = 3;
// As many threads as authctl serves on.
const WORKERS = Math.min(4, os.availableParallelism());
const STREAMS = 200;
const EVENTS = 4;
const STARTS = 40;
const KEY = 'sk-bench-0123456789abcdef0123456789abcdef';

const directory = mkdtempSync(path.join(os.tmpdir(), 'bench-proxy-'));
const children = [];
process.on('exit', () => {
  children.forEach((child) => child.kill('SIGTERM'));
  rmSync(directory, { recursive: true, force: true });
});

const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
const median = (list) => list.toSorted((a, b) => a - b)[Math.floor(list.length / 2)];

async function freePort() {
  const server = net.createServer();
  await new Promise((ready) => server.listen(0, '127.0.0.1', ready));
  const { port } = server.address();
  await new Promise((done) => server.close(done));
  return port;
}

async function listening(port) {
  for (let tries = 0; tries < 200; tries += 1) {
    const connection = net.connect(port, '127.0.0.1');
    const is = await new Promise((done) => connection.on('connect', () => done(true)).on('error', () => done(false)));
    connection.destroy();
    if (is) return;
    await sleep(25);
  }
  throw new Error(`nobody listens on ${port}`);
}

// ------------------------------------------------------------------------------------------ who takes part

async function nginx(name, servers) {
  const home = path.join(directory, name);
  mkdirSync(home);
  const places = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((kind) => `${kind}_temp_path ${home}/${kind};`).join(' ');
  const text = `worker_processes ${WORKERS}; daemon off; pid ${home}/pid; error_log ${home}/error.log;
    events { worker_connections 1024; }
    http { access_log off; keepalive_requests 100000000; ${places} ${servers} }`;
  writeFileSync(path.join(home, 'nginx.conf'), text);
  const child = spawn('nginx', ['-e', `${home}/error.log`, '-p', home, '-c', `${home}/nginx.conf`], { stdio: 'ignore' });
  children.push(child);
  return child.pid;
}

/** Streams of events that tell when they were sent; the head goes out at once. */
async function streamer() {
  const server = http.createServer((request, response) => {
    if (request.headers.authorization !== `Bearer ${KEY}`) return response.writeHead(401).end();
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
    response.flushHeaders();
    let left = EVENTS;
    const next = () => {
      response.write(`data: ${performance.now()}\n\n`);
      left -= 1;
      return left === 0 ? response.end() : setTimeout(next, 10);
    };
    return setTimeout(next, 10);
  });
  await new Promise((ready) => server.listen(0, '127.0.0.1', ready));
  return server.address().port;
}

async function authctl(providers) {
  const config = path.join(directory, 'config');
  mkdirSync(config);
  const table = ([name, url]) => `[provider.${name}]\nbase_url = "${url}"\n[provider.${name}.bearer]\nvariables = ["${name.toUpperCase()}_KEY"]\n`;
  writeFileSync(path.join(config, 'config.toml'), Object.entries(providers).map(table).join('\n'));
  const env = { PATH: process.env.PATH, HOME: directory, AUTHCTL_CONFIG_DIR: config, AUTHCTL_DATA_DIR: path.join(directory, 'data'),
    AUTHCTL_STATE_DIR: path.join(directory, 'state'), AUTHCTL_LOCK_DIR: path.join(directory, 'locks'), AUTHCTL_STORE: 'file' };
  for (const name of Object.keys(providers)) env[`AUTHCTL_${name.toUpperCase()}_TOKEN`] = KEY;
  const child = spawn(BINARY, ['proxy', '--json', '--with', Object.keys(providers).join()], { env, stdio: ['ignore', 'pipe', 'inherit'] });
  children.push(child);
  const line = await new Promise((done) => readline.createInterface({ input: child.stdout }).once('line', done));
  const { url, key } = JSON.parse(line);
  return { pid: child.pid, url, key, env };
}

// ------------------------------------------------------------------------------------------ what the kernel says

/** A process and those that it started. */
function family(pid) {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean);
  return [pid, ...children.flatMap((child) => family(Number(child)))];
}

/** User and system time so far, in microseconds. */
function cpu(pid) {
  const times = family(pid).map((one) => readFileSync(`/proc/${one}/stat`, 'utf8').split(') ')[1].split(' '));
  return times.reduce((sum, fields) => sum + (Number(fields[11]) + Number(fields[12])) * 10_000, 0);
}

function mebibytes(pid, key, file) {
  const read = (one) => Number(readFileSync(`/proc/${one}/${file}`, 'utf8').match(new RegExp(`${key}:\\s+(\\d+)`))[1]);
  return family(pid).reduce((sum, one) => sum + read(one), 0) / 1024;
}

const memory = (pid) => `${mebibytes(pid, 'VmRSS', 'status').toFixed(1)} MiB RSS, ${mebibytes(pid, 'Pss', 'smaps_rollup').toFixed(1)} MiB PSS, ` +
  `${readdirSync(`/proc/${pid}/task`).length} threads`;

// ------------------------------------------------------------------------------------------ throughput

function wrk({ url, header, pid }, connections) {
  const before = pid ? cpu(pid) : 0;
  const said = execFileSync('wrk', ['-t1', `-c${connections}`, `-d${SECONDS}s`, '--latency', '-H', header, url], { encoding: 'utf8' });
  const requests = Number(said.match(/(\d+) requests in/)[1]);
  const bad = said.match(/Non-2xx or 3xx responses: (\d+)|Socket errors: .*/);
  if (bad) throw new Error(`${url}: ${bad[0]}`);
  const [, p50] = said.match(/50%\s+(\S+)/);
  const [, p99] = said.match(/99%\s+(\S+)/);
  return { rate: Number(said.match(/Requests\/sec:\s+(\S+)/)[1]), cost: pid ? (cpu(pid) - before) / requests : undefined, p50, p99 };
}

function throughput(parts) {
  for (const connections of CONNECTIONS) {
    const runs = Object.fromEntries(Object.keys(parts).map((name) => [name, []]));
    for (let round = 0; round < ROUNDS; round += 1) {
      for (const [name, part] of Object.entries(parts)) runs[name].push(wrk(part, connections));
    }
    const figure = (name, key) => median(runs[name].map((run) => run[key]));
    for (const name of Object.keys(parts)) {
      const cost = figure(name, 'cost');
      const last = runs[name].at(-1);
      console.log(`${String(connections).padStart(3)} connections  ${name.padEnd(8)} ${figure(name, 'rate').toFixed(0).padStart(7)} requests/s  ` +
        `p50 ${last.p50}, p99 ${last.p99}${cost === undefined ? '' : `  ${cost.toFixed(1)} µs CPU a request`}`);
    }
    const rate = figure('authctl', 'rate') / figure('nginx', 'rate');
    const cost = figure('authctl', 'cost') / figure('nginx', 'cost');
    const target = connections === 64 ? ' (≥ 0.8 and ≤ 2)' : '';
    console.log(`${String(connections).padStart(3)} connections  authctl / nginx: ${rate.toFixed(2)} of the requests, ${cost.toFixed(2)} of the CPU${target}`);
  }
}

// ------------------------------------------------------------------------------------------ event streams

function stream({ url, header }) {
  const [name, value] = header.split(': ');
  return new Promise((done, failed) => {
    const began = performance.now();
    http.get(url, { headers: { [name]: value } }, (response) => {
      const head = performance.now() - began;
      if (response.statusCode !== 200) return failed(new Error(`${url}: ${response.statusCode}`));
      const lags = [];
      response.on('data', (piece) => {
        for (const [, sent] of piece.toString().matchAll(/data: (\S+)/g)) lags.push(performance.now() - Number(sent));
      });
      return response.on('end', () => done({ head, lag: median(lags) }));
    }).on('error', failed);
  });
}

async function streams(parts) {
  const runs = Object.fromEntries(Object.keys(parts).map((name) => [name, []]));
  for (let round = 0; round < STREAMS; round += 1) {
    for (const [name, part] of Object.entries(parts)) runs[name].push(await stream(part));
  }
  const figure = (name, key) => median(runs[name].slice(1).map((run) => run[key]));
  for (const name of Object.keys(parts)) {
    const over = name === 'authctl' ? `; ${(figure(name, 'head') - figure('direct', 'head')).toFixed(2)} ms over direct (< 1)` : '';
    console.log(`event stream     ${name.padEnd(8)} head after ${figure(name, 'head').toFixed(2)} ms, events after ${figure(name, 'lag').toFixed(2)} ms${over}`);
  }
}

// ------------------------------------------------------------------------------------------ starting a command

function varlock() {
  const home = path.join(directory, 'varlock');
  mkdirSync(home);
  writeFileSync(path.join(home, '.env.schema'), '# @defaultSensitive=true\n# ---\n# @proxy(domain="api.example.com")\n# @placeholder="sk-x"\nBENCH_KEY=\n');
  writeFileSync(path.join(home, '.env'), `BENCH_KEY=${KEY}\n`);
  return { words: [process.env.VARLOCK, 'proxy', 'run', '--', 'true'], options: { cwd: home, env: { ...process.env, HOME: home } } };
}

function starts(env) {
  const options = { env };
  const commands = {
    'exec -- true': { words: [BINARY, '-q', 'exec', '--with', 'bench', '--', 'true'], options },
    'exec --proxy -- true': { words: [BINARY, '-q', 'exec', '--proxy', '--with', 'bench', '--', 'true'], options },
    ...(process.env.VARLOCK && { 'varlock proxy run -- true': varlock() }),
  };
  const times = Object.fromEntries(Object.keys(commands).map((name) => [name, []]));
  for (let round = 0; round < STARTS; round += 1) {
    for (const [name, { words, options: given }] of Object.entries(commands)) {
      const began = performance.now();
      const { status, stderr } = spawnSync(words[0], words.slice(1), { ...given, encoding: 'utf8' });
      if (status !== 0) throw new Error(`${name}: ${stderr}`);
      times[name].push(performance.now() - began);
    }
  }
  const of = (name) => median(times[name]);
  for (const name of Object.keys(commands)) console.log(`starting         ${name.padEnd(26)} ${of(name).toFixed(1)} ms`);
  const ratio = (other) => (of('exec --proxy -- true') / of(other)).toFixed(2);
  console.log(`starting         exec --proxy / exec: ${ratio('exec -- true')} (≤ 2)`);
  if (process.env.VARLOCK) console.log(`starting         exec --proxy / varlock: ${ratio('varlock proxy run -- true')} (≤ 0.1)`);
}

// ------------------------------------------------------------------------------------------ all of it

const [originPort, nginxPort, eventsPort] = await Promise.all([freePort(), freePort(), streamer()]);
const answer = '0123456789abcdef'.repeat(8);
await nginx('origin', `server { listen 127.0.0.1:${originPort}; location / {
  if ($http_authorization != "Bearer ${KEY}") { return 401; } default_type text/plain; return 200 "${answer}"; } }`);
const inject = `proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Authorization "Bearer ${KEY}"; proxy_buffering off;`;
const neighbour = await nginx('proxy', `upstream o { server 127.0.0.1:${originPort}; keepalive 128; keepalive_requests 100000000; }
  server { listen 127.0.0.1:${nginxPort}; location / { ${inject} proxy_pass http://o; }
           location /events { ${inject} proxy_pass http://127.0.0.1:${eventsPort}; } }`);
await Promise.all([listening(originPort), listening(nginxPort)]);
const ours = await authctl({ bench: `http://127.0.0.1:${originPort}`, events: `http://127.0.0.1:${eventsPort}` });
const real = `Authorization: Bearer ${KEY}`;
const session = `Authorization: Bearer ${ours.key}`;

console.log(`idle             authctl  ${memory(ours.pid)} (≤ 12 MiB)\nidle             nginx    ${memory(neighbour)}`);
starts(ours.env);
await streams({
  direct: { url: `http://127.0.0.1:${eventsPort}/events`, header: real },
  nginx: { url: `http://127.0.0.1:${nginxPort}/events`, header: 'X-None: 1' },
  authctl: { url: `${ours.url}/events/events`, header: session },
});
throughput({
  direct: { url: `http://127.0.0.1:${originPort}/x`, header: real },
  nginx: { url: `http://127.0.0.1:${nginxPort}/x`, header: 'X-None: 1', pid: neighbour },
  authctl: { url: `${ours.url}/bench/x`, header: session, pid: ours.pid },
});
console.log(`after the load   authctl  ${memory(ours.pid)}\nafter the load   nginx    ${memory(neighbour)}`);
process.exit(0);
