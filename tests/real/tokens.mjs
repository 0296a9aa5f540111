// What a resource server knows of a token: one in three parts is a JWT (RFC 9068), checked by the issuer's
// keys; any other is introspected at the issuer (RFC 7662).

import { createRemoteJWKSet, jwtVerify } from 'jose';

const CLIENT = { client_id: 'resource-server', client_secret: 'secret:of+resource-server/100%' };
const form = (text) => new URLSearchParams({ '': text }).toString().slice(1);

/** `(token, audience)` → its claims, or nothing if it is not good here. */
export async function tokenJudge(options) {
  const { issuer, client_id, client_secret } = { ...CLIENT, ...options };
  const metadata = await (await fetch(`${issuer}/.well-known/openid-configuration`)).json();
  const keys = createRemoteJWKSet(new URL(metadata.jwks_uri));
  const basic = Buffer.from(`${form(client_id)}:${form(client_secret)}`).toString('base64');

  async function introspect(token, audience) {
    const answer = await fetch(metadata.introspection_endpoint, {
      method: 'POST',
      headers: { authorization: `Basic ${basic}` },
      body: new URLSearchParams({ token }),
    });
    if (!answer.ok) throw new Error(`introspection answered ${answer.status}`);
    const claims = await answer.json();
    return claims.active && (!audience || claims.aud === audience) ? claims : undefined;
  }

  async function verify(token, audience) {
    try {
      return (await jwtVerify(token, keys, { issuer, audience, typ: 'at+jwt' })).payload;
    } catch {
      return undefined;
    }
  }

  return (token, audience) => (token.split('.').length === 3 ? verify : introspect)(token, audience);
}
