// Grants of machines for the certified provider, which has none of its own: JWT bearer (RFC 7523), token
// exchange (RFC 8693) and the assertions of an identity provider (ID-JAG). Every assertion is verified
// with `jose`: signature, issuer, audience and time.

import {
  SignJWT, createLocalJWKSet, createRemoteJWKSet, decodeJwt, exportJWK, generateKeyPair, jwtVerify,
} from 'jose';
import { randomUUID } from 'node:crypto';
import { errors } from 'oidc-provider';

export const JWT_BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer';
export const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
const TYPE = 'urn:ietf:params:oauth:token-type:';
const ID_JAG = `${TYPE}id-jag`;

const refused = (why) => new errors.CustomOIDCProviderError('invalid_grant', why);

// `trusted`: issuers whose assertions are taken, as [{"issuer", "jwks_uri"}] or [{"issuer", "jwks"}].
// `clock_offset`: seconds by which the clock here is ahead.
export async function addMachineGrants(provider, issuer, { trusted, clock_offset }) {
  const signer = await generateKeyPair('ES256');
  const published = { keys: [{ ...(await exportJWK(signer.publicKey)), kid: 'id-jag', alg: 'ES256' }] };
  const keysOf = new Map(trusted.map(({ issuer, jwks_uri, jwks }) => [issuer, { jwks_uri, jwks }]));
  const now = () => new Date(Date.now() + clock_offset * 1000);

  function keysFor(name) {
    const { jwks_uri, jwks } = keysOf.get(name) ?? {};
    if (jwks) return createLocalJWKSet(jwks);
    if (jwks_uri) return createRemoteJWKSet(new URL(jwks_uri));
    throw refused(`the issuer ${name} is not trusted`);
  }

  async function verified(token, audience) {
    try {
      const named = decodeJwt(token).iss;
      const checks = { issuer: named, audience, currentDate: now(), requiredClaims: ['exp'] };
      return await jwtVerify(token, keysFor(named), checks);
    } catch (error) {
      throw error instanceof errors.OIDCProviderError ? error : refused(error.message);
    }
  }

  async function issue(ctx, extra = {}) {
    const { client, params } = ctx.oidc;
    const token = new provider.ClientCredentials({ client, scope: params.scope });
    const access_token = await token.save();
    ctx.body = { access_token, token_type: 'Bearer', expires_in: token.expiration, scope: params.scope, ...extra };
  }

  async function jwtBearer(ctx) {
    const { payload, protectedHeader } = await verified(ctx.oidc.params.assertion, issuer);
    if (protectedHeader.typ === 'oauth-id-jag+jwt' && payload.client_id !== ctx.oidc.client.clientId) {
      throw refused('the assertion is for another client');
    }
    await issue(ctx);
  }

  async function tokenExchange(ctx) {
    const { client, params } = ctx.oidc;
    if (params.requested_token_type !== ID_JAG) {
      await verified(params.subject_token, issuer);
      await issue(ctx, { issued_token_type: `${TYPE}access_token` });
      return;
    }
    if (params.subject_token_type !== `${TYPE}id_token`) throw refused('the subject is no ID token');
    const own = createRemoteJWKSet(new URL(`${issuer}/jwks`));
    const { payload } = await jwtVerify(params.subject_token, own, { issuer, audience: client.clientId })
      .catch((error) => { throw refused(error.message); });
    const claims = { client_id: 'enterprise', resource: params.resource, scope: params.scope };
    const assertion = await new SignJWT(claims)
      .setProtectedHeader({ alg: 'ES256', kid: 'id-jag', typ: 'oauth-id-jag+jwt' })
      .setIssuer(issuer).setSubject(payload.sub).setAudience(params.audience)
      .setJti(randomUUID()).setIssuedAt().setExpirationTime('5m').sign(signer.privateKey);
    ctx.body = { access_token: assertion, issued_token_type: ID_JAG, token_type: 'N_A', expires_in: 300 };
  }

  provider.registerGrantType(JWT_BEARER, jwtBearer, ['assertion', 'scope', 'resource']);
  provider.registerGrantType(TOKEN_EXCHANGE, tokenExchange, [
    'subject_token', 'subject_token_type', 'actor_token', 'actor_token_type',
    'requested_token_type', 'audience', 'resource', 'scope',
  ]);
  provider.use(async (ctx, next) => {
    if (ctx.path !== '/id-jag/jwks') return next();
    ctx.body = published;
  });
}
