#!/usr/bin/env node
// The internet, as far as the clients of the proxy need it: every host in `hosts` under one certificate, over HTTP/1.1
// and HTTP/2, with models, gRPC, WebSocket, git and event streams; and the office's proxy, through which these
// names are reached.
//
//   node origin.mjs '{"hosts": {"api.openai.com": {"authorization": "Bearer KEY"}, …}, "repositories": DIR}'
//
//   hosts         names, and the headers that each wants, once and with this value. "127.0.0.1" is for `plain`
//                 and `h2c`.
//   repositories  what /git serves
//
// stdout: first {"url", "plain", "h2c", "office", "ca"}: origins over TLS, plain and with HTTP/2 alone, the proxy,
// and the file of the authority. Then {"host", "version", "method", "path", "headers", "length", "sha256"} for
// each request, with the headers as they came, {"message"} for each of a WebSocket, {"gone"} for a stream that
// its client left, and {"connect"} for each tunnel. stdin: {"hosts"} in a line of its own changes what is wanted.

import { execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import http from 'node:http';
import http2 from 'node:http2';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import readline from 'node:readline';
import { WebSocketServer } from 'ws';

const options = { hosts: {}, ...JSON.parse(process.argv[2] ?? '{}') };
const directory = mkdtempSync(path.join(os.tmpdir(), 'origin-'));
process.on('exit', () => rmSync(directory, { recursive: true, force: true }));
const say = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);
const listen = (server) => new Promise((ready) => server.listen(0, '127.0.0.1', () => ready(server.address().port)));

// ------------------------------------------------------------------------------------------ certificates

function certificate() {
  const openssl = (...args) => execFileSync('openssl', args, { cwd: directory, stdio: 'ignore' });
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '30'];
  const names = ['localhost', ...Object.keys(options.hosts)].map((name) => (net.isIP(name) ? `IP:${name}` : `DNS:${name}`));
  openssl('req', '-x509', ...key, '-keyout', 'ca.key', '-out', 'ca.pem', '-subj', '/CN=authority of the tests',
    '-addext', 'basicConstraints=critical,CA:TRUE', '-addext', 'keyUsage=critical,keyCertSign');
  openssl('req', '-x509', ...key, '-keyout', 'leaf.key', '-out', 'leaf.pem', '-subj', '/CN=leaf', '-CA', 'ca.pem', '-CAkey', 'ca.key',
    '-addext', `subjectAltName=${names.join()}`, '-addext', 'basicConstraints=critical,CA:FALSE', '-addext', 'extendedKeyUsage=serverAuth');
  return Object.fromEntries(['key', 'pem'].map((end) => [end, readFileSync(path.join(directory, `leaf.${end}`))]));
}

// ------------------------------------------------------------------------------------------ who may come in

const hostOf = (request) => (request.headers[':authority'] ?? request.headers.host ?? '').replace(/:\d+$/, '');

function fields(request) {
  const raw = request.rawHeaders;
  return Array.from({ length: raw.length / 2 }, (_, n) => [raw[2 * n], raw[2 * n + 1]]);
}

function isWelcome(request) {
  const wanted = Object.entries(options.hosts[hostOf(request)] ?? {});
  return wanted.every(([name, value]) => {
    const came = fields(request).filter(([field]) => field.toLowerCase() === name);
    return came.length === 1 && came[0][1] === value;
  });
}

function refuse(request, response) {
  const scheme = request.url.startsWith('/git/') ? 'Basic' : 'Bearer';
  response.writeHead(401, { 'www-authenticate': `${scheme} realm="origin"`, 'content-type': 'application/json' });
  response.end(JSON.stringify({ error: { message: 'Incorrect API key provided.', type: 'authentication_error' } }));
}

function record(request, body) {
  const sha256 = createHash('sha256').update(body).digest('hex');
  const { httpVersion: version, method, url } = request;
  say({ host: hostOf(request), version, method, path: url, headers: fields(request), length: body.length, sha256 });
}

async function read(request) {
  const pieces = [];
  for await (const piece of request) pieces.push(piece);
  return Buffer.concat(pieces);
}

// ------------------------------------------------------------------------------------------ what they get

const json = (response, value) =>
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(value));
const WORDS = ['the ', 'quick ', 'brown ', 'fox'];

function completion(response, body) {
  const { model, stream } = JSON.parse(body);
  const base = { id: 'chatcmpl-1', created: 1, model };
  if (!stream) {
    const message = { role: 'assistant', content: WORDS.join('') };
    const choices = [{ index: 0, message, finish_reason: 'stop' }];
    return json(response, { ...base, object: 'chat.completion', choices });
  }
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  for (const content of WORDS) {
    const choices = [{ index: 0, delta: { content } }];
    response.write(`data: ${JSON.stringify({ ...base, object: 'chat.completion.chunk', choices })}\n\n`);
  }
  return response.end('data: [DONE]\n\n');
}

function message(response, body) {
  const { model, stream } = JSON.parse(body);
  const base = { id: 'msg_1', type: 'message', role: 'assistant', model, stop_reason: null, stop_sequence: null };
  const usage = { input_tokens: 1, output_tokens: 4 };
  if (!stream) {
    const content = [{ type: 'text', text: WORDS.join('') }];
    return json(response, { ...base, content, stop_reason: 'end_turn', usage });
  }
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  const event = (value) => response.write(`event: ${value.type}\ndata: ${JSON.stringify(value)}\n\n`);
  event({ type: 'message_start', message: { ...base, content: [], usage } });
  event({ type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } });
  WORDS.forEach((text) => event({ type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text } }));
  event({ type: 'content_block_stop', index: 0 });
  event({ type: 'message_delta', delta: { stop_reason: 'end_turn', stop_sequence: null }, usage });
  event({ type: 'message_stop' });
  return response.end();
}

// A stream whose next event comes only when its reader asks for it on another request: who holds events back
// never sees the second. `id` is the reader's own.
const streams = new Map();
const EVENTS = 3;

function events(response, id) {
  let sent = 0;
  const next = () => {
    sent += 1;
    response.write(`data: ${sent}\n\n`);
    if (sent === EVENTS) response.end();
  };
  streams.set(id, next);
  response.on('close', () => sent < EVENTS && say({ gone: id }));
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  next();
}

/** Every message back: once for Unary, three times for Stream. */
function grpc(request, response, body) {
  response.writeHead(200, { 'content-type': 'application/grpc' });
  response.addTrailers({ 'grpc-status': '0', 'x-checksum': createHash('sha256').update(body).digest('hex') });
  for (let n = request.url.endsWith('Stream') ? 3 : 1; n > 0; n -= 1) response.write(body);
  response.end();
}

/** The CGI program of git itself. */
function git(request, response, body) {
  const [pathname, query = ''] = request.url.slice('/git'.length).split('?');
  const { 'content-type': type = '', 'content-encoding': coding = '', 'git-protocol': protocol = '' } = request.headers;
  const env = { ...process.env, GIT_PROJECT_ROOT: options.repositories, GIT_HTTP_EXPORT_ALL: '1', PATH_INFO: pathname, QUERY_STRING: query,
    REQUEST_METHOD: request.method, CONTENT_TYPE: type, CONTENT_LENGTH: String(body.length), HTTP_CONTENT_ENCODING: coding,
    GIT_PROTOCOL: protocol, REMOTE_USER: 'tests', GIT_CONFIG_COUNT: '1', GIT_CONFIG_KEY_0: 'safe.directory', GIT_CONFIG_VALUE_0: '*' };
  const backend = spawn('git', ['http-backend'], { env, stdio: ['pipe', 'pipe', 'inherit'] });
  const pieces = [];
  backend.stdout.on('data', (piece) => pieces.push(piece));
  backend.on('close', () => {
    const whole = Buffer.concat(pieces);
    const end = whole.indexOf('\r\n\r\n');
    const head = whole.subarray(0, end).toString().split('\r\n').map((line) => line.split(': '));
    const status = head.find(([name]) => name === 'Status')?.[1];
    for (const [name, value] of head) if (name !== 'Status') response.setHeader(name, value);
    response.writeHead(status ? Number.parseInt(status, 10) : 200);
    response.end(whole.subarray(end + 4));
  });
  backend.stdin.end(body);
}

async function answer(request, response) {
  const body = await read(request);
  record(request, body);
  if (!isWelcome(request)) return refuse(request, response);
  if (request.headers['content-type']?.startsWith('application/grpc')) return grpc(request, response, body);
  const { pathname, searchParams } = new URL(request.url, 'http://origin');
  const name = pathname.replace(/^\/(v1|api)(?=\/)/, '');
  if (name.startsWith('/git/')) return git(request, response, body);
  switch (name) {
    case '/chat/completions': return completion(response, body);
    case '/messages': return message(response, body);
    case '/models': return json(response, { object: 'list', data: [{ id: 'fake', object: 'model' }] });
    case '/echo': return response.writeHead(200, { 'content-type': 'application/octet-stream' }).end(body);
    case '/events': return events(response, searchParams.get('id'));
    case '/next':
      streams.get(searchParams.get('id'))?.();
      return response.writeHead(204).end();
    default: return json(response, { path: request.url });
  }
}

// Bodies come broken off where a client leaves: that is nobody's fault.
const safely = (request, response) => answer(request, response).catch(() => response.destroy?.());

function upgrade(request, socket, head) {
  record(request, Buffer.alloc(0));
  if (!isWelcome(request)) return socket.end('HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\nconnection: close\r\n\r\n');
  return sockets.handleUpgrade(request, socket, head, (connection) => {
    connection.on('message', (data, binary) => {
      say({ message: createHash('sha256').update(data).digest('hex') });
      connection.send(data, { binary });
    });
  });
}

/** The office's proxy: every name is here. */
function tunnel(request, socket, head) {
  say({ connect: request.url });
  const there = net.connect(port, '127.0.0.1', () => {
    socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
    there.write(head);
    socket.pipe(there).pipe(socket);
  });
  for (const end of [socket, there]) end.on('error', () => [socket, there].forEach((other) => other.destroy()));
}

const sockets = new WebSocketServer({ noServer: true });
const { key, pem: cert } = certificate();
const secure = http2.createSecureServer({ key, cert, allowHTTP1: true }, safely).on('upgrade', upgrade);
const port = await listen(secure);
// Java asks every plain server to go over to h2c, which one may overlook.
const shouldUpgradeCallback = ({ headers }) => headers.upgrade.toLowerCase() === 'websocket';
const plain = await listen(http.createServer({ shouldUpgradeCallback }, safely).on('upgrade', upgrade));
const h2c = await listen(http2.createServer(safely));
const office = await listen(http.createServer((_, response) => response.writeHead(501).end()).on('connect', tunnel));
const at = (number, scheme = 'http') => `${scheme}://127.0.0.1:${number}`;
say({ url: at(port, 'https'), plain: at(plain), h2c: at(h2c), office: at(office), ca: path.join(directory, 'ca.pem') });
readline.createInterface({ input: process.stdin })
  .on('line', (line) => say({ done: Object.assign(options, JSON.parse(line)) && 'hosts' }))
  .on('close', () => process.exit(0));
