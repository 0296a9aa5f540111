#!/usr/bin/env node
// The identity tokens of GitHub Actions: asked for with the job's permit, signed with RS256 by a key that
// the issuer publishes.
//
//   node ci-identity.mjs ['{"permit": "…"}']
//
//   permit     the bearer token of ACTIONS_ID_TOKEN_REQUEST_TOKEN
//   lifetime   of the tokens, in seconds: 300
//
// stdout: first {"issuer", "request_url", "jwks_uri"}, then {"audience", "status"} for each request.
// Ends when stdin ends.

import http from 'node:http';
import { SignJWT, exportJWK, generateKeyPair } from 'jose';
import { randomUUID } from 'node:crypto';

const options = { permit: 'permit', lifetime: 300, ...JSON.parse(process.argv[2] ?? '{}') };
const { publicKey, privateKey } = await generateKeyPair('RS256');
const jwk = { ...(await exportJWK(publicKey)), kid: 'ci', alg: 'RS256', use: 'sig' };
const say = (value) => console.log(JSON.stringify(value));

async function identity(audience) {
  const issued = Math.floor(Date.now() / 1000);
  return new SignJWT({ repository: 'octo/app', ref: 'refs/heads/main', event_name: 'push' })
    .setProtectedHeader({ alg: 'RS256', kid: 'ci', typ: 'JWT' })
    .setIssuer(issuer).setSubject('repo:octo/app:ref:refs/heads/main').setAudience(audience)
    .setJti(randomUUID()).setIssuedAt(issued).setNotBefore(issued - 300)
    .setExpirationTime(issued + options.lifetime).sign(privateKey);
}

let issuer;
const server = http.createServer(async (request, response) => {
  const url = new URL(request.url, issuer);
  const reply = (status, body) => {
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  };
  if (url.pathname === '/.well-known/jwks') return reply(200, { keys: [jwk] });
  const permitted = request.headers.authorization?.toLowerCase() === `bearer ${options.permit}`;
  const audience = url.searchParams.get('audience') ?? 'https://github.com/octo';
  const status = url.pathname !== '/token' ? 404 : permitted ? 200 : 401;
  say({ audience, status });
  reply(status, status === 200 ? { count: 1, value: await identity(audience) } : { message: 'no' });
});
server.listen(0, '127.0.0.1', () => {
  issuer = `http://127.0.0.1:${server.address().port}`;
  say({
    issuer,
    request_url: `${issuer}/token?api-version=2.0`,
    jwks_uri: `${issuer}/.well-known/jwks`,
  });
});
process.stdin.resume().on('end', () => process.exit(0));
