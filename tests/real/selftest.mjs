// Proves the real parts against each other, without authctl: `tests/run --parts`. Those of MCP are in
// selftest-mcp.mjs.

import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { basic, browse, here, post, register, run, signIn, start } from './parts.mjs';

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
  const client_id = await register(server);
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
