// What stands before the MCP servers here: a loopback listener that says what came, the metadata of the
// protected resource (RFC 9728), and a gate that wants a token of one authorization server.
//
// stdout: first {"url"}, then for each request to the MCP endpoint {"method", "rpc", "name", "version",
// "session", "last_event_id", "params", "status", "sub"}: the HTTP method, the message's method and name, the
// headers of those names (`params` are the Mcp-Param ones), and how it was answered; {"done"} for each command
// that was carried out, {"cancelled"} when a call was. Never a token.

import http from 'node:http';
import { tokenJudge } from './tokens.mjs';

export const say = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);

/** `handle(request, response, body)` is called with what passes; commands come as lines of stdin. */
export async function serve(options, handle, commands = {}) {
  const judge = options.issuer ? await tokenJudge(options) : undefined;
  const server = http.createServer(async (request, response) => {
    try {
      const body = await read(request);
      const { pathname } = new URL(request.url, 'http://localhost');
      if (pathname.startsWith('/.well-known/')) return metadata(options, server, pathname, response);
      if (pathname !== '/mcp') return response.writeHead(404).end();
      const claims = judge && (await claimsOf(judge, request, server));
      log(request, response, body, claims);
      if (judge && !claims) return challenge(request, server, response);
      request.auth = claims && { token: '-', clientId: claims.client_id, scopes: claims.scope?.split(' ') ?? [], extra: claims };
      await handle(request, response, body);
    } catch (error) {
      console.error(error.stack);
      if (!response.headersSent) response.writeHead(500).end();
    }
  });
  await new Promise((resolve) => server.listen(options.port ?? 0, '127.0.0.1', resolve));
  say({ url: urlOf(server) });
  obey(commands);
}

const originOf = (server) => `http://127.0.0.1:${server.address().port}`;
const urlOf = (server) => `${originOf(server)}/mcp`;

// A command a line; the end of stdin ends the process.
async function obey(commands) {
  process.stdin.setEncoding('utf8');
  let rest = '';
  for await (const piece of process.stdin) {
    const lines = (rest + piece).split('\n');
    rest = lines.pop();
    for (const line of lines) {
      await commands[line]?.();
      say({ done: line });
    }
  }
  process.exit(0);
}

async function read(request) {
  const pieces = [];
  for await (const piece of request) pieces.push(piece);
  return pieces.length > 0 ? JSON.parse(Buffer.concat(pieces)) : undefined;
}

async function claimsOf(judge, request, server) {
  const [, token] = /^Bearer (\S+)$/i.exec(request.headers.authorization ?? '') ?? [];
  return token && judge(token, urlOf(server));
}

function metadata({ issuer, scopes = ['api:read'] }, server, pathname, response) {
  if (!issuer || pathname !== '/.well-known/oauth-protected-resource/mcp') return response.writeHead(404).end();
  response.writeHead(200, { 'content-type': 'application/json' });
  response.end(
    JSON.stringify({
      resource: urlOf(server),
      authorization_servers: [issuer],
      scopes_supported: scopes,
      bearer_methods_supported: ['header'],
    }),
  );
}

// RFC 6750 §3: no error code where no token was shown.
function challenge(request, server, response) {
  const where = `resource_metadata="${originOf(server)}/.well-known/oauth-protected-resource/mcp"`;
  const error = request.headers.authorization ? 'error="invalid_token", ' : '';
  response.writeHead(401, { 'www-authenticate': `Bearer ${error}${where}` }).end();
}

function log(request, response, body, claims) {
  const { headers, method } = request;
  const params = Object.entries(headers).filter(([name]) => name.startsWith('mcp-param-'));
  const line = {
    method,
    rpc: body?.method,
    name: headers['mcp-name'],
    version: headers['mcp-protocol-version'],
    session: headers['mcp-session-id'],
    last_event_id: headers['last-event-id'],
    params: params.length > 0 ? Object.fromEntries(params) : undefined,
    sub: claims?.sub,
  };
  const { writeHead } = response;
  response.writeHead = function (status, ...rest) {
    say({ ...line, status });
    response.writeHead = writeHead;
    return writeHead.call(response, status, ...rest);
  };
}
