// Proves the parts of MCP against each other, without authctl: hosts against servers, the drivers of the
// conformance suite against mcp-remote.

import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { Host } from './host.mjs';
import { here, register, run, signIn, start, startProgram } from './parts.mjs';

const tools = path.join(here, '../../target/tools');
const script = (name) => path.join(here, name);
const NODE = process.execPath;
const PYTHON = path.join(tools, 'python/bin/python');
const RUST = path.join(tools, 'rmcp/debug/rmcp-parts');

const HOSTS = {
  'TypeScript 1.x': (options) => [NODE, script('mcp-client.mjs'), { ...options, sdk: 1 }],
  'TypeScript 2.x': (options) => [NODE, script('mcp-client.mjs'), options],
  Python: (options) => [PYTHON, script('mcp_client.py'), options],
  Rust: (options) => [RUST, 'client', options],
};
const SERVERS = {
  Python: { command: [PYTHON, script('mcp_server.py'), 'stdio'], eras: ['legacy', 'auto'], asks: true },
  Rust: { command: [RUST, 'server'], eras: ['legacy', 'auto'], asks: false },
};
const EVERYTHING = [NODE, script('node_modules/@modelcontextprotocol/server-everything/dist/index.js'), 'stdio'];
const bridge = (url) => [NODE, script('node_modules/mcp-remote/dist/proxy.js'), url, '--protocol', 'auto', '--allow-http'];

// What a host saw of a server.
async function see(host, options, target) {
  const [program, first, given] = HOSTS[host](options);
  const { stdout } = await run(program, [first, JSON.stringify(given), ...target], { timeout: 60_000 });
  return JSON.parse(stdout);
}

const ECHO = ['echo', { text: 'hello' }];

for (const host of Object.keys(HOSTS)) {
  for (const [server, { command, eras, asks }] of Object.entries(SERVERS)) {
    test(`a host in ${host} and a server in ${server} on stdio`, async () => {
      for (const era of host === 'TypeScript 1.x' ? ['legacy'] : eras) {
        const calls = asks ? [ECHO, ['elicit', {}]] : [ECHO];
        const seen = await see(host, { era, calls }, command);
        assert.deepEqual(seen.results[0], { tool: 'echo', text: 'hello' });
        if (asks) assert.deepEqual([seen.results[1].text, seen.asked], ['ada', ['elicitation/create']]);
        if (host !== 'TypeScript 1.x') assert.equal(seen.version, era === 'legacy' ? '2025-11-25' : '2026-07-28');
      }
    });
  }

  test(`a host in ${host} follows both eras of servers through a bridge that is not ours`, async () => {
    const calls = [ECHO, ['elicit', {}], ['grow', {}]];
    for (const part of ['mcp-legacy.mjs', 'mcp-modern.mjs']) {
      const server = await start(part);
      const seen = await see(host, { calls, changes: true }, bridge(server.url));
      assert.deepEqual(seen.results.map(({ error }) => error), [undefined, undefined, undefined]);
      assert.deepEqual(seen.tools_after, [...seen.tools, 'grown-1']);
    }
  });
}

test('server-everything serves a host that was written from the specification, in both manners', async () => {
  const [command, ...args] = EVERYTHING;
  for (const mode of ['legacy', 'dual']) {
    const host = new Host(command, args);
    await host.connect(mode);
    assert.equal(host.server.serverInfo.name, 'mcp-servers/everything');
    assert.match((await host.call('echo', { message: 'hello' })).content[0].text, /hello/);
    await host.call('trigger-elicitation-request');
    await host.call('trigger-sampling-request', { prompt: 'a word' });
    assert.deepEqual(host.asked.map(({ method }) => method).filter((method) => method !== 'roots/list'), ['elicitation/create', 'sampling/createMessage']);
    host.kill(); // it outlives its stdin
    await host.ended;
  }
});

test('a host in Python speaks to servers of both eras over HTTP, and a Python server to all hosts', async () => {
  const python = await startProgram(PYTHON, [script('mcp_server.py'), 'http']);
  for (const host of ['TypeScript 1.x', 'TypeScript 2.x', 'Python']) {
    assert.deepEqual((await see(host, { calls: [ECHO] }, [python.url])).results, [{ tool: 'echo', text: 'hello' }]);
  }
  const modern = await start('mcp-modern.mjs');
  const seen = await see('Python', { calls: [['elicit', {}]] }, [modern.url]);
  assert.deepEqual([seen.version, seen.results[0].text], ['2026-07-28', 'ada word']);
  assert.deepEqual(seen.asked, ['elicitation/create', 'sampling/createMessage']);
});

test('a legacy server takes up a cut stream again, and forgets its sessions when told to', async () => {
  const server = await start('mcp-legacy.mjs');
  const calls = [['cut', {}], ['sample', {}], ['roots', {}]];
  const seen = await see('TypeScript 1.x', { calls }, [server.url]);
  assert.deepEqual(seen.results.map(({ text }) => text), ['after the cut', 'word', 'file:///work']);
  assert.ok(server.lines.some(({ method, last_event_id }) => method === 'GET' && last_event_id), 'it came back');
  const { session } = server.lines.find((line) => line.session);
  const ping = () =>
    fetch(server.url, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
        'mcp-session-id': session,
        'mcp-protocol-version': '2025-11-25',
      },
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'ping' }),
    });
  assert.equal((await ping()).status, 200);
  await server.command('forget');
  assert.equal((await ping()).status, 404);
});

test('a legacy server answers with JSON, without sessions, and by the transport of 2024-11-05', async () => {
  for (const options of [{ json: true }, { stateless: true }]) {
    const server = await start('mcp-legacy.mjs', options);
    assert.equal((await see('TypeScript 1.x', { calls: [ECHO] }, [server.url])).results[0].text, 'hello');
  }
  const server = await start('mcp-legacy.mjs', { sse: true });
  const client = new Client({ name: 'selftest', version: '1.0.0' });
  await client.connect(new SSEClientTransport(new URL(server.url)));
  assert.equal((await client.callTool({ name: 'echo', arguments: { text: 'hello' } })).content[0].text, 'hello');
  await client.close();
});

test('a modern server wants arguments mirrored in headers, and refuses those that disagree', async () => {
  const server = await start('mcp-modern.mjs');
  const given = { region: 'über', priority: 3, urgent: true, where: { zone: 'a' }, query: 'q' };
  const seen = await see('TypeScript 2.x', { calls: [['mirror', given]] }, [server.url]);
  assert.deepEqual(JSON.parse(seen.results[0].text), given);
  const { params } = server.lines.find((line) => line.params);
  assert.deepEqual(params, {
    'mcp-param-region': '=?base64?w7xiZXI=?=',
    'mcp-param-priority': '3',
    'mcp-param-urgent': 'true',
    'mcp-param-zone': 'a',
  });
  const _meta = { 'io.modelcontextprotocol/protocolVersion': '2026-07-28', 'io.modelcontextprotocol/clientCapabilities': {} };
  const answer = await fetch(server.url, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      'mcp-protocol-version': '2026-07-28',
      'mcp-method': 'tools/call',
      'mcp-name': 'mirror',
      'mcp-param-region': 'elsewhere',
    },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'mirror', arguments: { region: 'here' }, _meta } }),
  });
  assert.deepEqual([answer.status, (await answer.json()).error.code], [400, -32020]);
});

test('the gate of both servers takes a token that is for it, and names its authorization server', async () => {
  const issuer = await start('oidc-provider.mjs', { token_format: 'jwt' });
  const client = await register(issuer);
  for (const part of ['mcp-legacy.mjs', 'mcp-modern.mjs']) {
    const server = await start(part, { issuer: issuer.issuer });
    const refused = await fetch(server.url, { method: 'POST', body: '{}' });
    assert.equal(refused.status, 401);
    const [, where] = /resource_metadata="([^"]+)"/.exec(refused.headers.get('www-authenticate'));
    const metadata = await (await fetch(where)).json();
    assert.deepEqual([metadata.resource, metadata.authorization_servers], [server.url, [issuer.issuer]]);
    const { tokens } = await signIn(issuer, { resource: server.url }, {}, client);
    const headers = { authorization: `Bearer ${tokens.access_token}` };
    const seen = await see('TypeScript 2.x', { calls: [['whoami', {}]], headers }, [server.url]);
    assert.equal(seen.results[0].text, 'alice');
    const other = await start(part, { issuer: issuer.issuer });
    assert.equal((await fetch(other.url, { method: 'POST', body: '{}', headers })).status, 401);
  }
});

// The real command line of AdCP: what it printed, and how it ended.
async function adcp(url, tool, given, token) {
  const env = { ...process.env, HOME: '/nonexistent', ...(token && { ADCP_AUTH_TOKEN: token }) };
  const args = [script('node_modules/@adcp/sdk/bin/adcp.js'), url, tool, JSON.stringify(given)];
  const { stdout, stderr, code = 0 } = await run(NODE, args, { env, timeout: 60_000 }).catch((error) => error);
  return { said: stdout + stderr, code };
}

test('an AdCP agent says in three ways that it wants a credential, and builds with one', async () => {
  const build = ['tools/call', 'build_creative'];
  const FORMAT = { agent_url: 'https://agent.example', id: 'audio_30s' };
  const CREATIVE = {
    idempotency_key: '0123456789abcdef',
    target_format_id: FORMAT,
    creative_manifest: { format_id: FORMAT, assets: {} },
  };
  const call = async (server, name, token) => {
    const answer = await fetch(server.url, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
        ...(token && { authorization: `Bearer ${token}` }),
      },
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: build[0], params: { name, arguments: name === build[1] ? CREATIVE : {} } }),
    });
    const [, data] = /^data: (.*)$/m.exec(await answer.text()) ?? [];
    const result = data && JSON.parse(data).result;
    return [answer.status, result?.structuredContent.adcp_error?.code, result?.structuredContent.adcp_error?.recovery];
  };
  const account = await start('adcp-agent.mjs', { gate: 'tool', key: 'right' });
  assert.deepEqual(await call(account, 'get_adcp_capabilities'), [200, undefined, undefined]);
  assert.deepEqual(await call(account, 'list_creative_formats'), [200, 'AUTH_REQUIRED', 'correctable']);
  assert.deepEqual(await call(account, build[1], 'wrong'), [200, 'AUTH_REQUIRED', 'terminal']);
  assert.deepEqual(await call(account, build[1], 'right'), [200, undefined, undefined]);
  const handler = await start('adcp-agent.mjs', { gate: 'handler', rejected: 'AUTH_INVALID', key: 'right' });
  assert.deepEqual(await call(handler, 'list_creative_formats'), [200, undefined, undefined]);
  assert.deepEqual(await call(handler, build[1]), [200, 'AUTH_REQUIRED', 'correctable']);
  assert.deepEqual(await call(handler, build[1], 'wrong'), [200, 'AUTH_INVALID', 'terminal']);
  const http = await start('adcp-agent.mjs', { gate: 'http' });
  assert.deepEqual(await call(http, 'get_adcp_capabilities'), [401, undefined, undefined]);
  assert.deepEqual(await call(http, 'get_adcp_capabilities', 'any'), [200, undefined, undefined]);

  const refused = await adcp(account.url, 'list_creative_formats', {});
  assert.match(refused.said, /AUTH_REQUIRED/);
  const taken = await adcp(account.url, 'list_creative_formats', {}, 'right');
  assert.match(taken.said, /audio_30s/);
});

test('an AdCP agent behind an authorization server takes its tokens', async () => {
  const issuer = await start('oidc-provider.mjs', { token_format: 'jwt' });
  const server = await start('adcp-agent.mjs', { gate: 'http', issuer: issuer.issuer });
  const refused = await fetch(server.url, { method: 'POST', body: '{}' });
  const [, where] = /resource_metadata="([^"]+)"/.exec(refused.headers.get('www-authenticate'));
  assert.deepEqual((await (await fetch(where)).json()).authorization_servers, [issuer.issuer]);
  const { tokens } = await signIn(issuer, { resource: server.url }, {}, await register(issuer));
  assert.match((await adcp(server.url, 'list_creative_formats', {}, tokens.access_token)).said, /audio_30s/);
});

test('the driver of the conformance suite passes and fails as is known of mcp-remote', async () => {
  const known = {
    '2025-11-25': ['elicitation-sep1034-client-defaults', 'auth/metadata-var2', 'auth/pre-registration'],
    '2026-07-28': ['tools_call', 'sep-2322-client-request-state', 'http-custom-headers', 'auth/iss-wrong-issuer'],
  };
  const failing = new Set(['auth/metadata-var2', 'http-custom-headers']);
  const env = { ...process.env, MCP_TEST_BRIDGE: 'mcp-remote' };
  for (const [set, scenarios] of Object.entries(known)) {
    const args = [script('conformance.mjs'), '--set', set, '--host', 'dual', '--jobs', '1', ...scenarios];
    const { stdout, code = 0 } = await run(NODE, args, { env, timeout: 300_000 }).catch((error) => error);
    for (const scenario of scenarios) {
      const verdict = failing.has(scenario) ? 'FAILED' : 'ok    ';
      assert.ok(stdout.includes(`${verdict} ${set} dual   ${scenario} (`), stdout);
    }
    assert.equal(code, 1);
  }
});
