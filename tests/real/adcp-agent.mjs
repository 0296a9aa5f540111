#!/usr/bin/env node
// A creative agent of AdCP, by the real `@adcp/sdk`: an MCP server that mostly says "log in" with HTTP 200,
// inside a tool's result.
//
//   node adcp-agent.mjs ['{"gate": "http", …}']
//
//   gate      "tool": its account store refuses who has no credential, for every tool but the capabilities;
//             "handler": build_creative alone refuses; "http": nothing passes without one (401)
//   key       the only API key that its provider takes; none: any
//   issuer    whose tokens (JWT) it wants instead of API keys; with "http" its metadata says so
//   user      it takes this name with `key` as its password (RFC 7617) instead of a key alone
//   rejected  the error code for a credential that the provider does not take: AUTH_REQUIRED
//   digests   true: says what bodies came and went
//
// stdout: first {"url"}; then for each request {"method", "rpc", "tool", "credential", "token_sha256"}, where
// `credential` is the SDK's stable id of it; {"built"} with the same two for each creative; and
// {"bodies": {"method", "got", "gave"}} with the SHA-256 of the bodies of each request that passed the gate.

import { createHash } from 'node:crypto';
import net from 'node:net';
import {
  AdcpError,
  createAdcpServerFromPlatform,
  createDerivedAccountStore,
  createIdempotencyStore,
  memoryBackend,
  serve,
  verifyApiKey,
  verifyBearer,
} from '@adcp/sdk/server';

process.env.NODE_ENV = 'test'; // the SDK keeps its state in memory then

const options = { gate: 'tool', rejected: 'AUTH_REQUIRED', ...JSON.parse(process.argv[2] ?? '{}') };
const port = options.port ?? (await freePort());
const origin = `http://127.0.0.1:${port}`;
const url = `${origin}/mcp`;
const say = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);

// The SDK wants to know its own address before it listens.
async function freePort() {
  const server = net.createServer();
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port: free } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return free;
}

// ---------------------------------------------------------------------------------------------- who is it?

// The SDK has no authenticator for names and passwords; one may be any function.
async function verifyBasic({ headers }) {
  const [scheme, encoded] = (headers.authorization ?? '').split(' ');
  const [user, token] = Buffer.from(encoded ?? '', 'base64').toString().split(':');
  const isKnown = scheme === 'Basic' && user === options.user && (!options.key || token === options.key);
  return isKnown ? { principal: user, token, credential: { kind: 'api_key', key_id: user } } : null;
}

async function authenticator() {
  if (options.user) return verifyBasic;
  if (!options.issuer) return verifyApiKey({ verify: (token) => ({ principal: 'buyer', token }) });
  const metadata = await (await fetch(`${options.issuer}/.well-known/openid-configuration`)).json();
  return verifyBearer({ jwksUri: metadata.jwks_uri, issuer: options.issuer, audience: url });
}

const identify = await authenticator();
const idOf = (credential) => credential?.client_id ?? credential?.key_id;
const whose = (authInfo) => ({
  credential: idOf(authInfo?.credential ?? authInfo?.extra?.credential),
  token_sha256: authInfo?.token ? createHash('sha256').update(authInfo.token).digest('hex') : undefined,
});

// Gates that are not of HTTP let everybody pass, known or not.
async function recognise(request) {
  const principal = await identify(request).catch(() => null);
  if (!principal) return;
  const { token = '', scopes = [], credential } = principal;
  request.auth = { token, clientId: principal.principal, scopes, extra: { credential } };
}

const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex');

function sayBodies(request, response) {
  const gave = createHash('sha256');
  for (const name of ['write', 'end']) {
    const own = response[name];
    response[name] = function watched(piece, ...rest) {
      if (piece && typeof piece !== 'function') gave.update(piece);
      return own.call(this, piece, ...rest);
    };
  }
  response.on('close', () => say({ bodies: { method: request.method, got: sha256(request.rawBody ?? ''), gave: gave.digest('hex') } }));
}

async function before(request, response) {
  if (options.digests) sayBodies(request, response);
  if (options.gate !== 'http') await recognise(request);
  const body = request.rawBody?.length > 0 ? JSON.parse(request.rawBody) : undefined;
  say({ method: request.method, rpc: body?.method, tool: body?.params?.name, ...whose(request.auth) });
  return false;
}

// ------------------------------------------------------------------------------------------ what it can do

const missing = () =>
  new AdcpError('AUTH_REQUIRED', { message: 'This provider needs your credential.', recovery: 'correctable' });
const rejected = () =>
  new AdcpError(options.rejected, {
    message: 'The provider rejected the credential.',
    recovery: 'terminal',
    suggestion: 'Check the key at the provider.',
  });

function buildCreative(request, authInfo) {
  if (!authInfo?.token) throw missing();
  if (options.key && authInfo.token !== options.key) throw rejected();
  const { id } = request.target_format_id;
  const built = whose(authInfo);
  say({ built });
  const serving_tag = { asset_type: 'audio', url: `https://cdn.example.invalid/${built.token_sha256}.mp3`, duration_ms: 30000 };
  return { format_id: { agent_url: origin, id }, assets: { serving_tag } };
}

const AUDIO = {
  format_id: { agent_url: origin, id: 'audio_30s' },
  name: 'Audio, 30 s',
  type: 'audio',
  renders: [{ role: 'primary', parameters_from_format_id: true }],
  assets: [],
};
const ACCOUNT = { id: 'audiostack', name: 'AudioStack', status: 'active', ctx_metadata: {} };
const toAccount = (context) => ({ ...ACCOUNT, authInfo: context?.authInfo });
const platform = {
  capabilities: { specialisms: ['creative-template'], config: {} },
  accounts: createDerivedAccountStore({ toAccount, skipAuthCheck: options.gate !== 'tool' }),
  creative: {
    buildCreative: async (request, context) => buildCreative(request, context.account.authInfo),
    listCreativeFormats: async () => ({ formats: [AUDIO] }),
    previewCreative: async () => {
      throw new AdcpError('UNSUPPORTED_FEATURE', { message: 'no previews' });
    },
  },
};

const idempotency = createIdempotencyStore({ backend: memoryBackend(), ttlSeconds: 86_400 });
const gate = options.gate === 'http' ? { authenticate: identify } : {};
const resource = options.issuer ? { authorization_servers: [options.issuer], scopes_supported: ['api:read'] } : undefined;
serve(
  ({ taskStore }) =>
    createAdcpServerFromPlatform(platform, {
      name: 'audiostack',
      version: '1.0.0',
      taskStore,
      idempotency,
      resolveSessionKey: (context) => context.account?.id ?? 'anonymous',
    }),
  {
    ...gate,
    port,
    preTransport: before,
    onListening: () => say({ url }),
    ...(resource && options.gate === 'http' && { publicUrl: url, protectedResource: resource }),
  },
);
process.stdin.resume().on('end', () => process.exit(0));
