#!/usr/bin/env node
// An API that wants a bearer token of one issuer. A token in three parts is a JWT (RFC 9068),
// checked by the issuer's keys; any other is introspected at the issuer (RFC 7662).
//
//   node protected-api.mjs '{"issuer": "http://127.0.0.1:…"}'
//
//   port        0: any free one
//   audience    the resource that tokens must be for; none: tokens for any
//   client_id, client_secret   what to introspect with
//
// stdout: first {"url"}, then {"path", "status", "sub", "client_id", "scope"} for each request.
// A good token is answered with 200 and {"sub", "client_id", "scope", "aud"}, any other
// with 401 and a challenge (RFC 6750 §3). Ends when stdin ends.

import http from 'node:http';
import { createRemoteJWKSet, jwtVerify } from 'jose';

const options = {
  port: 0,
  client_id: 'resource-server',
  client_secret: 'secret:of+resource-server/100%',
  ...JSON.parse(process.argv[2] ?? '{}'),
};
const { issuer, audience } = options;
const metadata = await (await fetch(`${issuer}/.well-known/openid-configuration`)).json();
const keys = createRemoteJWKSet(new URL(metadata.jwks_uri));
const form = (text) => new URLSearchParams({ '': text }).toString().slice(1);
const basic = Buffer.from(`${form(options.client_id)}:${form(options.client_secret)}`).toString('base64');

async function introspect(token) {
  const answer = await fetch(metadata.introspection_endpoint, {
    method: 'POST',
    headers: { authorization: `Basic ${basic}` },
    body: new URLSearchParams({ token }),
  });
  if (!answer.ok) throw new Error(`introspection answered ${answer.status}`);
  const claims = await answer.json();
  return claims.active && (!audience || claims.aud === audience) ? claims : undefined;
}

async function verify(token) {
  try {
    return (await jwtVerify(token, keys, { issuer, audience, typ: 'at+jwt' })).payload;
  } catch {
    return undefined;
  }
}

async function answer(request, response) {
  const [, token] = /^Bearer ([\w.~+/=-]+)$/i.exec(request.headers.authorization ?? '') ?? [];
  const claims = token && (await (token.split('.').length === 3 ? verify(token) : introspect(token)));
  const { sub, client_id, scope, aud } = claims || {};
  const status = claims ? 200 : 401;
  console.log(JSON.stringify({ path: request.url, status, sub, client_id, scope }));
  if (claims) {
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ sub, client_id, scope, aud }));
  } else {
    const reason = token ? ', error="invalid_token"' : '';
    response.writeHead(401, { 'www-authenticate': `Bearer realm="api"${reason}` }).end();
  }
}

const server = http.createServer((request, response) => {
  request.resume();
  answer(request, response).catch((error) => {
    console.error(error.message);
    response.writeHead(502).end();
  });
});
server.listen(options.port, '127.0.0.1', () => {
  console.log(JSON.stringify({ url: `http://127.0.0.1:${server.address().port}` }));
});
process.stdin.resume().on('end', () => process.exit(0));
