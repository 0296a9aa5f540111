#!/usr/bin/env node
// The certified `oidc-provider` as an authorization server on loopback: code with PKCE (required),
// device flow, client credentials, rotation of refresh tokens with reuse detection, dynamic
// registration, revocation, introspection, resource indicators, `iss` in authorization responses,
// pushed authorization requests, tokens bound to a key for whoever proves one (DPoP).
//
//   node oidc-provider.mjs ['{"access_token_ttl": 2, …}']
//
//   port               0: any free one
//   access_token_ttl   seconds, 3600          refresh_token_ttl   seconds, 1209600
//   device_code_ttl    seconds, 600           token_format        "opaque" or "jwt" (for resources)
//   rotate             true                   registration        true
//   require_push       false                  require_nonce       false: in proofs of possession
//   clients            more clients, as RFC 7591 metadata; the built-in ones are in CLIENTS
//   trusted            issuers whose assertions it takes, see machine-grants.mjs
//   clock_offset       seconds by which its clock is ahead for assertions, 0
//
// stdout: one JSON value a line. First {"issuer"}, then one for each answer of an endpoint:
// {"endpoint", "status", "grant_type", "client_id", "error"}. Never a secret. Ends when stdin ends.

import { Console } from 'node:console';
import http from 'node:http';
import { randomBytes } from 'node:crypto';
import Provider from 'oidc-provider';
import { JWT_BEARER, TOKEN_EXCHANGE, addMachineGrants } from './machine-grants.mjs';

globalThis.console = new Console(process.stderr); // the package's notices are not of our lines

const options = {
  port: 0,
  access_token_ttl: 3600,
  refresh_token_ttl: 14 * 24 * 3600,
  device_code_ttl: 600,
  token_format: 'opaque',
  rotate: true,
  registration: true,
  require_push: false,
  require_nonce: false,
  clients: [],
  trusted: [],
  clock_offset: 0,
  ...JSON.parse(process.argv[2] ?? '{}'),
};

const DEVICE_CODE = 'urn:ietf:params:oauth:grant-type:device_code';
// A native client may use any port of the loopback address that it registered (RFC 8252 §7.3).
const LOOPBACK = ['http://127.0.0.1/callback', 'http://localhost/callback', 'http://[::1]/callback'];
// Colon, plus, percent and slash must be encoded in a header (RFC 6749 §2.3.1).
const secretOf = (id) => `secret:of+${id}/100%`;
const machine = (id, method) => ({
  client_id: id,
  client_secret: secretOf(id),
  token_endpoint_auth_method: method,
  grant_types: ['client_credentials'],
  redirect_uris: [],
  response_types: [],
});
const CLIENTS = [
  {
    client_id: 'public',
    application_type: 'native',
    token_endpoint_auth_method: 'none',
    grant_types: ['authorization_code', 'refresh_token', DEVICE_CODE, TOKEN_EXCHANGE],
    redirect_uris: LOOPBACK,
  },
  // Of machines that have an identity, and of a server that an enterprise opens to its people.
  {
    client_id: 'workload',
    token_endpoint_auth_method: 'none',
    grant_types: [JWT_BEARER, TOKEN_EXCHANGE],
    redirect_uris: [],
    response_types: [],
  },
  { ...machine('enterprise', 'client_secret_basic'), grant_types: [JWT_BEARER] },
  {
    client_id: 'confidential',
    client_secret: secretOf('confidential'),
    application_type: 'native',
    token_endpoint_auth_method: 'client_secret_basic',
    grant_types: ['authorization_code', 'refresh_token'],
    redirect_uris: LOOPBACK,
  },
  machine('machine-basic', 'client_secret_basic'),
  machine('machine-post', 'client_secret_post'),
  // What a protected API introspects with; it may look at every token.
  { ...machine('resource-server', 'client_secret_basic'), grant_types: [] },
];

// ------------------------------------------------------------------------------------------ storage

// The provider's own memory store forgets all but the newest 1,000 records; this one forgets none.
const records = new Map();
const byGrant = new Map();
const byUid = new Map();
const byUserCode = new Map();

class Memory {
  constructor(kind) {
    this.kind = kind;
  }

  #key(id) {
    return `${this.kind}:${id}`;
  }

  async upsert(id, payload, expiresIn) {
    const key = this.#key(id);
    records.set(key, { payload, ends: expiresIn ? Date.now() + expiresIn * 1000 : Infinity });
    if (payload.uid) byUid.set(payload.uid, id);
    if (payload.userCode) byUserCode.set(payload.userCode, id);
    if (payload.grantId && this.kind !== 'Session') {
      const members = byGrant.get(payload.grantId) ?? new Set();
      byGrant.set(payload.grantId, members.add(key));
    }
  }

  async find(id) {
    const record = records.get(this.#key(id));
    return record && record.ends > Date.now() ? record.payload : undefined;
  }

  findByUid(uid) {
    return this.find(byUid.get(uid));
  }

  findByUserCode(userCode) {
    return this.find(byUserCode.get(userCode));
  }

  async consume(id) {
    const record = records.get(this.#key(id));
    if (record) record.payload.consumed = Math.floor(Date.now() / 1000);
  }

  async destroy(id) {
    records.delete(this.#key(id));
  }

  async revokeByGrantId(grantId) {
    for (const key of byGrant.get(grantId) ?? []) records.delete(key);
    byGrant.delete(grantId);
  }
}

// ----------------------------------------------------------------------------------- the provider

const SCOPES = 'api:read api:write';

// The API's audience is whatever loopback URL the client names (RFC 8707).
function resourceServer(_ctx, resource) {
  if (!/^http:\/\/(127\.0\.0\.1|localhost)(:|\/|$)/.test(resource)) {
    throw new Provider.errors.InvalidTarget();
  }
  return {
    scope: SCOPES,
    audience: resource,
    accessTokenTTL: options.access_token_ttl,
    accessTokenFormat: options.token_format,
  };
}

const seconds = (value) => () => value;
const configuration = {
  adapter: Memory,
  clients: [...CLIENTS, ...options.clients],
  cookies: { keys: [randomBytes(16).toString('hex')] },
  scopes: ['openid', 'offline_access', ...SCOPES.split(' ')],
  claims: { openid: ['sub'] },
  clientDefaults: { scope: `openid offline_access ${SCOPES}` },
  findAccount: (_ctx, sub) => ({ accountId: sub, claims: () => ({ sub }) }),
  pkce: { required: () => true },
  rotateRefreshToken: options.rotate,
  issueRefreshToken: (_ctx, client) => client.grantTypeAllowed('refresh_token'),
  expiresWithSession: () => false,
  ttl: {
    AccessToken: seconds(options.access_token_ttl),
    ClientCredentials: seconds(options.access_token_ttl),
    RefreshToken: seconds(options.refresh_token_ttl),
    DeviceCode: seconds(options.device_code_ttl),
    AuthorizationCode: seconds(60),
    IdToken: seconds(600),
    Interaction: seconds(600),
    Grant: seconds(options.refresh_token_ttl),
    Session: seconds(3600),
  },
  features: {
    devInteractions: { enabled: true }, // the login and consent pages that the package ships
    clientCredentials: { enabled: true },
    deviceFlow: { enabled: true },
    revocation: { enabled: true, allowedPolicy: (_ctx, client, token) => token.clientId === client.clientId },
    introspection: { enabled: true, allowedPolicy: () => true },
    registration: { enabled: options.registration },
    pushedAuthorizationRequests: {
      enabled: true,
      requirePushedAuthorizationRequests: options.require_push,
    },
    dPoP: { enabled: true, nonceSecret: randomBytes(32), requireNonce: () => options.require_nonce },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: resourceServer,
      useGrantedResource: () => true,
    },
  },
};

const say = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);

const server = http.createServer();
server.listen(options.port, '127.0.0.1', async () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, configuration);
  await addMachineGrants(provider, issuer, options);
  provider.use(withoutForeignFonts);
  provider.use(logged);
  provider.on('server_error', (_ctx, error) => console.error(error.stack));
  server.on('request', provider.callback());
  say({ issuer });
});
process.stdin.resume().on('end', () => process.exit(0));

// The package's pages take a font from a foreign host; nothing here leaves the machine.
async function withoutForeignFonts(ctx, next) {
  await next();
  if (ctx.type === 'text/html' && typeof ctx.body === 'string') {
    ctx.body = ctx.body.replace(/@import url\([^)]*\);/g, '');
  }
}

const ENDPOINTS = {
  '/token': 'token',
  '/token/revocation': 'revocation',
  '/token/introspection': 'introspection',
  '/device/auth': 'device_authorization',
  '/reg': 'registration',
  '/request': 'pushed_authorization_request',
  '/me': 'userinfo',
};

async function logged(ctx, next) {
  await next();
  const endpoint = ENDPOINTS[ctx.path];
  if (!endpoint) return;
  say({
    endpoint,
    status: ctx.status,
    grant_type: ctx.oidc?.params?.grant_type,
    client_id: ctx.oidc?.client?.clientId,
    error: ctx.body?.error,
  });
}
