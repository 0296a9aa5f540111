// Proves the real parts against each other, without authctl: `node --test tests/real/selftest.mjs`.

import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import http from 'node:http';
import path from 'node:path';
import readline from 'node:readline';
import { after, test } from 'node:test';
import { promisify } from 'node:util';

const here = import.meta.dirname ?? path.dirname(new URL(import.meta.url).pathname);
const run = promisify(execFile);
const children = [];
after(() => children.forEach((child) => child.stdin.end()));

// Starts one of the servers here; resolves to its first line, later ones go to `lines`.
async function start(script, options = {}) {
  const child = spawn(process.execPath, [path.join(here, script), JSON.stringify(options)], {
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  children.push(child);
  const lines = [];
  const first = new Promise((resolve, reject) => {
    readline.createInterface({ input: child.stdout }).on('line', (line) => {
      lines.push(JSON.parse(line));
      resolve(lines[0]);
    });
    child.on('exit', () => reject(new Error(`${script} ended`)));
  });
  return { ...(await first), lines };
}

async function browse(url, person = {}) {
  const env = { ...process.env, PERSON: JSON.stringify(person) };
  delete env.PERSON_REPORT;
  const { stdout } = await run(process.execPath, [path.join(here, 'browser.mjs'), url], { env });
  return JSON.parse(stdout);
}

async function post(url, form, headers = {}) {
  const answer = await fetch(url, { method: 'POST', body: new URLSearchParams(form), headers });
  const text = await answer.text();
  return { status: answer.status, ...(text ? JSON.parse(text) : {}) };
}

const basic = (id, secret) => {
  const form = (text) => new URLSearchParams({ '': text }).toString().slice(1);
  return { authorization: `Basic ${Buffer.from(`${form(id)}:${form(secret)}`).toString('base64')}` };
};

// A code login of the public client with a person in Chromium; the tokens, and what the redirect said.
async function signIn(server, parameters = {}, person = {}, client = 'public') {
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

const refresh = (server, refresh_token) =>
  post(`${server.issuer}/token`, { grant_type: 'refresh_token', client_id: 'public', refresh_token });

const call = (api, token) => fetch(api.url, { headers: token ? { authorization: `Bearer ${token}` } : {} });

test('a person signs in in the browser, and the API takes the token until it is revoked', async () => {
  const server = await start('oidc-provider.mjs');
  const api = await start('protected-api.mjs', { issuer: server.issuer });
  const { report, redirect, tokens } = await signIn(server);
  assert.deepEqual(report.done, ['login', 'consent']);
  assert.equal(report.text, 'You may close this page.');
  assert.equal(redirect.get('iss'), server.issuer);
  assert.equal(redirect.get('state'), 'a state');
  assert.equal(tokens.token_type, 'Bearer');
  assert.equal((await call(api)).status, 401);
  assert.match((await call(api)).headers.get('www-authenticate'), /^Bearer/);
  assert.equal((await call(api, 'made-up')).status, 401);
  const answer = await call(api, tokens.access_token);
  assert.equal(answer.status, 200);
  assert.deepEqual(await answer.json(), { sub: 'alice', client_id: 'public', scope: tokens.scope });

  const revoked = await post(`${server.issuer}/token/revocation`, { client_id: 'public', token: tokens.refresh_token });
  assert.equal(revoked.status, 200);
  assert.equal((await call(api, tokens.access_token)).status, 401);
  assert.equal((await refresh(server, tokens.refresh_token)).error, 'invalid_grant');
  const grants = server.lines.filter((line) => line.endpoint === 'token');
  assert.deepEqual(grants.map((line) => [line.grant_type, line.status]), [['authorization_code', 200], ['refresh_token', 400]]);
});

test('a person who refuses ends at the redirect with access_denied', async () => {
  const server = await start('oidc-provider.mjs');
  const { redirect } = await signIn(server, {}, { deny: true });
  assert.equal(redirect.get('error'), 'access_denied');
});

test('without PKCE there is no code', async () => {
  const server = await start('oidc-provider.mjs');
  const { redirect } = await signIn(server, { code_challenge: '', code_challenge_method: '' });
  assert.equal(redirect.get('error'), 'invalid_request');
});

test('refresh tokens rotate, and reuse of an old one ends the family', async () => {
  const server = await start('oidc-provider.mjs', { access_token_ttl: 2 });
  const api = await start('protected-api.mjs', { issuer: server.issuer });
  const { tokens } = await signIn(server);
  assert.equal(tokens.expires_in, 2);
  const second = await refresh(server, tokens.refresh_token);
  assert.notEqual(second.refresh_token, tokens.refresh_token);
  assert.equal((await call(api, second.access_token)).status, 200);
  assert.equal((await refresh(server, tokens.refresh_token)).error, 'invalid_grant');
  assert.equal((await refresh(server, second.refresh_token)).error, 'invalid_grant');
});

test('a device is signed in by a person who types its code', async () => {
  const server = await start('oidc-provider.mjs');
  const device = await post(`${server.issuer}/device/auth`, { client_id: 'public', scope: 'openid api:read' });
  const poll = () =>
    post(`${server.issuer}/token`, {
      grant_type: 'urn:ietf:params:oauth:grant-type:device_code',
      client_id: 'public',
      device_code: device.device_code,
    });
  assert.equal((await poll()).error, 'authorization_pending');
  const report = await browse(device.verification_uri, { user_code: device.user_code });
  assert.deepEqual(report.done, ['device code', 'device confirmation', 'login', 'consent']);
  assert.match(report.text, /successful/);
  assert.ok((await poll()).refresh_token);
});

test('machines sign in with their secret in the header or in the body', async () => {
  const server = await start('oidc-provider.mjs');
  const grant = { grant_type: 'client_credentials', scope: 'api:read' };
  const secret = (id) => `secret:of+${id}/100%`;
  const header = basic('machine-basic', secret('machine-basic'));
  const body = { client_id: 'machine-post', client_secret: secret('machine-post') };
  assert.ok((await post(`${server.issuer}/token`, grant, header)).access_token);
  assert.ok((await post(`${server.issuer}/token`, { ...grant, ...body })).access_token);
  const wrong = await post(`${server.issuer}/token`, grant, basic('machine-basic', 'wrong'));
  assert.deepEqual([wrong.status, wrong.error], [401, 'invalid_client']);
});

test('a registered client signs in, with a JWT for the resource it names', async () => {
  const server = await start('oidc-provider.mjs', { token_format: 'jwt' });
  const resource = 'http://127.0.0.1:9/api';
  const api = await start('protected-api.mjs', { issuer: server.issuer, audience: resource });
  const other = await start('protected-api.mjs', { issuer: server.issuer, audience: 'http://127.0.0.1:9/other' });
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
  assert.equal(answer.status, 201);
  const { client_id } = await answer.json();
  const { tokens } = await signIn(server, { resource }, {}, client_id);
  assert.equal(tokens.access_token.split('.').length, 3);
  assert.equal((await call(api, tokens.access_token)).status, 200);
  assert.equal((await call(other, tokens.access_token)).status, 401);
});

test('a keyring is empty and unlocked, keeps its own, and its command decides the exit status', async () => {
  const script = path.join(here, 'with-keyring.sh');
  const inside = `secret-tool lookup service authctl username a && exit 1
    printf secret | secret-tool store --label=a service authctl username a
    secret-tool lookup service authctl username a; exit 7`;
  const failed = await run(script, ['sh', '-c', inside]).catch((error) => error);
  assert.deepEqual([failed.code, failed.stdout], [7, 'secret']);
  await run(script, ['sh', '-c', '! secret-tool lookup service authctl username a']);
});

test('the identity of a job becomes a token where its issuer is trusted', async () => {
  const ci = await start('ci-identity.mjs');
  const trusted = [{ issuer: ci.issuer, jwks_uri: ci.jwks_uri }];
  const server = await start('oidc-provider.mjs', { trusted });
  const identity = async (audience, permit) => {
    const url = `${ci.request_url}&audience=${encodeURIComponent(audience)}`;
    const answer = await fetch(url, { headers: { authorization: `bearer ${permit}` } });
    return { status: answer.status, ...(await answer.json()) };
  };
  assert.equal((await identity(server.issuer, 'guessed')).status, 401);
  const jwtBearer = { grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer', client_id: 'workload' };
  const show = async (audience, to = server) => {
    const { value: assertion } = await identity(audience, 'permit');
    return post(`${to.issuer}/token`, { ...jwtBearer, assertion });
  };
  assert.equal((await show(server.issuer)).token_type, 'Bearer');
  assert.equal((await show('https://other.example')).error, 'invalid_grant');
  const stranger = await start('oidc-provider.mjs');
  assert.equal((await show(stranger.issuer, stranger)).error, 'invalid_grant');
  const late = await start('oidc-provider.mjs', { trusted, clock_offset: 3600 });
  assert.equal((await show(late.issuer, late)).error, 'invalid_grant');
});
