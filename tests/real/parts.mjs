// What the self-tests stand on: the servers here as children, a person at the browser, forms.

import { execFile, spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import http from 'node:http';
import path from 'node:path';
import readline from 'node:readline';
import { after } from 'node:test';
import { promisify } from 'node:util';

export const here = import.meta.dirname;
export const run = promisify(execFile);
const children = [];
after(() => children.forEach((child) => child.stdin.end()));

/** Starts one of the servers here; resolves to its first line, later ones go to `lines`. */
export const start = (script, options = {}) =>
  startProgram(process.execPath, [path.join(here, script), JSON.stringify(options)]);

/** The same for any program. `command` writes a line to its stdin, and waits until it is done. */
export async function startProgram(program, args) {
  const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'ignore'] });
  children.push(child);
  const lines = [];
  const listeners = new Set();
  const first = new Promise((resolve, reject) => {
    readline.createInterface({ input: child.stdout }).on('line', (line) => {
      lines.push(JSON.parse(line));
      resolve(lines[0]);
      listeners.forEach((listener) => listener(lines.at(-1)));
    });
    child.on('exit', () => reject(new Error(`${args[0]} ended`)));
  });
  const command = (name) =>
    new Promise((resolve) => {
      const listener = (line) => line.done === name && listeners.delete(listener) && resolve();
      listeners.add(listener);
      child.stdin.write(`${name}\n`);
    });
  return { ...(await first), lines, command };
}

export async function browse(url, person = {}) {
  const env = { ...process.env, PERSON: JSON.stringify(person) };
  delete env.PERSON_REPORT;
  const { stdout } = await run(process.execPath, [path.join(here, 'browser.mjs'), url], { env });
  return JSON.parse(stdout);
}

export async function post(url, form, headers = {}) {
  const answer = await fetch(url, { method: 'POST', body: new URLSearchParams(form), headers });
  const text = await answer.text();
  return { status: answer.status, ...(text ? JSON.parse(text) : {}) };
}

export const basic = (id, secret) => {
  const form = (text) => new URLSearchParams({ '': text }).toString().slice(1);
  return { authorization: `Basic ${Buffer.from(`${form(id)}:${form(secret)}`).toString('base64')}` };
};

/** A code login of the public client with a person in Chromium; the tokens, and what the redirect said. */
export async function signIn(server, parameters = {}, person = {}, client = 'public') {
  const verifier = randomBytes(32).toString('base64url');
  let arrived;
  const query = new Promise((resolve) => (arrived = resolve));
  const listener = http.createServer((request, response) => {
    const url = new URL(request.url, 'http://127.0.0.1');
    if (url.pathname === '/callback') arrived(url.searchParams);
    response.setHeader('content-type', 'text/html');
    response.end('<title>over</title>You may close this page.');
  });
  await new Promise((resolve) => listener.listen(0, '127.0.0.1', resolve));
  const redirect_uri = `http://127.0.0.1:${listener.address().port}/callback`;
  const url = new URL(`${server.issuer}/auth`);
  url.search = new URLSearchParams({
    client_id: client,
    response_type: 'code',
    redirect_uri,
    scope: 'openid offline_access api:read',
    state: 'a state',
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
    code_challenge_method: 'S256',
    prompt: 'consent',
    ...parameters,
  });
  try {
    const report = await browse(url.href, person);
    if (!report.url.startsWith(redirect_uri)) return { report };
    const redirect = await query;
    const code = redirect.get('code');
    const tokens =
      code &&
      (await post(`${server.issuer}/token`, {
        grant_type: 'authorization_code',
        client_id: client,
        code,
        redirect_uri,
        code_verifier: verifier,
      }));
    return { report, redirect, tokens };
  } finally {
    listener.closeAllConnections();
    listener.close();
  }
}

/** A client that registers itself. */
export async function register(server) {
  const answer = await fetch(`${server.issuer}/reg`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      application_type: 'native',
      client_name: 'selftest',
      redirect_uris: ['http://127.0.0.1/callback'],
      grant_types: ['authorization_code', 'refresh_token'],
      token_endpoint_auth_method: 'none',
    }),
  });
  if (answer.status !== 201) throw new Error(`registration: ${answer.status}`);
  return (await answer.json()).client_id;
}
