#!/usr/bin/env node
// An API that wants a token of one issuer (tokens.mjs). One that is bound to a key is taken with a proof
// alone (RFC 9449 §7), and with this API's own nonce in it (§9).
//
//   node protected-api.mjs '{"issuer": "http://127.0.0.1:…"}'
//
//   port        0: any free one
//   audience    the resource that tokens must be for; none: tokens for any
//   client_id, client_secret   what to introspect with
//
// stdout: first {"url"}, then {"path", "status", "sub", "client_id", "scope", "jkt", "error"} for each request.
// A good token is answered with 200 and {"sub", "client_id", "scope", "aud"}, any other
// with 401 and a challenge (RFC 6750 §3, RFC 9449 §7.1). Ends when stdin ends.

import http from 'node:http';
import { hash, randomBytes } from 'node:crypto';
import { EmbeddedJWK, calculateJwkThumbprint, jwtVerify } from 'jose';
import { tokenJudge } from './tokens.mjs';

const options = { port: 0, ...JSON.parse(process.argv[2] ?? '{}') };
const { audience } = options;
const claimsOf = await tokenJudge(options);

const nonce = randomBytes(16).toString('base64url');
const proofs = new Set();

// Thumbprint of the key that the proof was made with; an error code if it proves nothing.
async function prove(request, token) {
  const url = `http://${request.headers.host}${request.url.split('?')[0]}`;
  try {
    const { payload, protectedHeader } = await jwtVerify(request.headers.dpop ?? '', EmbeddedJWK, {
      typ: 'dpop+jwt',
      algorithms: ['ES256'],
      maxTokenAge: 60,
    });
    if (payload.nonce !== nonce) return { error: 'use_dpop_nonce' };
    const ath = hash('sha256', token, 'base64url');
    const isRight = payload.htm === request.method && payload.htu === url && payload.ath === ath;
    if (!isRight || proofs.has(payload.jti)) return { error: 'invalid_dpop_proof' };
    proofs.add(payload.jti);
    return { jkt: await calculateJwkThumbprint(protectedHeader.jwk) };
  } catch {
    return { error: 'invalid_dpop_proof' };
  }
}

async function judge(request) {
  const shown = /^(Bearer|DPoP) ([\w.~+/=-]+)$/i.exec(request.headers.authorization ?? '');
  if (!shown) return {};
  const [, scheme, token] = shown;
  const { error, jkt } = scheme.toLowerCase() === 'dpop' ? await prove(request, token) : {};
  if (error) return { error };
  const claims = await claimsOf(token, audience);
  // A bound token is none without its proof, nor a plain one with one.
  return claims && claims.cnf?.jkt === jkt ? { claims, jkt } : { error: 'invalid_token' };
}

async function answer(request, response) {
  const { claims, jkt, error } = await judge(request);
  const { sub, client_id, scope, aud } = claims ?? {};
  const status = claims ? 200 : 401;
  console.log(JSON.stringify({ path: request.url, status, sub, client_id, scope, jkt, error }));
  if (claims) {
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ sub, client_id, scope, aud }));
  } else {
    const reason = error ? `, error="${error}"` : '';
    const challenges = [`Bearer realm="api"${reason}`, `DPoP algs="ES256"${reason}`];
    response.writeHead(401, { 'www-authenticate': challenges, 'dpop-nonce': nonce }).end();
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
