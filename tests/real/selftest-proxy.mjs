// Proves the parts of the proxy against each other, without authctl: each client at the origin, straight and through a
// proxy that is not ours, with the real key in its hands.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { here, run, start } from './parts.mjs';

const KEY = 'sk-real-0123456789';
const bearer = { authorization: `Bearer ${KEY}` };
const hosts = {
  '127.0.0.1': bearer,
  'api.acme.example': bearer,
  'api.openai.com': bearer,
  'api.anthropic.com': bearer,
  'git.acme.example': { authorization: `Basic ${Buffer.from(`x-access-token:${KEY}`).toString('base64')}` },
};
const scratch = mkdtempSync(path.join(os.tmpdir(), 'selftest-proxy-'));
after(() => rmSync(scratch, { recursive: true, force: true }));
const git = (...args) => run('git', args, { cwd: scratch });
await git('init', '--quiet', '--bare', 'repository.git');
await git('-C', 'repository.git', 'config', 'http.receivepack', 'true');
await git('clone', '--quiet', 'repository.git', 'work');
await git('-C', 'work', '-c', 'user.name=a', '-c', 'user.email=a@example.invalid', 'commit', '--quiet', '--allow-empty', '-m', 'first');
await git('-C', 'work', 'push', '--quiet', 'origin', 'HEAD');

const origin = await start('origin.mjs', { hosts, repositories: scratch });
const PYTHON = path.join(here, '../../target/tools/python/bin/python');
const GO = path.join(here, '../../target/tools/proxy-client-go');
const client = (name) => path.join(here, 'proxy-clients', name);
const NODE = process.execPath;
const BODY = createHash('sha256').update(Buffer.alloc(256 * 4096, Buffer.from(Array.from({ length: 256 }, (_, n) => n)))).digest('hex');

const ca = origin.ca;
const office = { HTTPS_PROXY: origin.office, https_proxy: origin.office, NODE_USE_ENV_PROXY: '1', SSL_CERT_FILE: ca, REQUESTS_CA_BUNDLE: ca,
  CURL_CA_BUNDLE: ca, GIT_SSL_CAINFO: ca, NODE_EXTRA_CA_CERTS: ca, GRPC_DEFAULT_SSL_ROOTS_FILE_PATH: ca };
const PATHS = { straight: [origin.plain, {}], 'through the office': ['https://api.acme.example', office] };

/** What a client says; it may read until it has. */
async function ask(words, env) {
  const child = run(words[0], words.slice(1), { env: { PATH: process.env.PATH, HOME: scratch, KEY, ...env }, timeout: 60_000 });
  child.child.stdin.end();
  return JSON.parse((await child).stdout);
}

const HTTP = {
  curl: [client('curl.sh')],
  requests: [PYTHON, client('http_client.py'), 'requests'],
  httpx: [PYTHON, client('http_client.py'), 'httpx'],
  fetch: [NODE, client('fetch.mjs')],
  Go: [GO],
  Java: ['java', client('Client.java')],
};

for (const [way, [url, env]] of Object.entries(PATHS)) {
  for (const [name, words] of Object.entries(HTTP)) {
    if (name === 'Java' && env.HTTPS_PROXY) continue; // it reads no such variable
    test(`${name}, ${way}`, async () => {
      assert.deepEqual(await ask([...words, url, 'KEY'], env), { sha256: BODY, events: ['1', '2', '3'] });
    });
  }

  for (const [language, words] of Object.entries({ Python: [PYTHON, client('models.py')], Node: [NODE, client('models.mjs')] })) {
    for (const sdk of ['openai', 'anthropic']) {
      test(`the SDK of ${sdk} in ${language}, ${way}`, async () => {
        const at = env.HTTPS_PROXY ? {} : { OPENAI_BASE_URL: `${url}/v1`, ANTHROPIC_BASE_URL: url };
        const said = await ask([...words, sdk], { ...env, ...at, OPENAI_API_KEY: KEY, ANTHROPIC_API_KEY: KEY });
        const streamed = ['the ', 'quick ', 'brown ', 'fox'];
        assert.deepEqual(said, { answer: streamed.join(''), streamed });
      });
    }
  }

  test(`WebSocket, ${way}`, async () => {
    const python = await ask([PYTHON, client('websocket_client.py'), `${url}/ws`, 'KEY'], env);
    assert.match(python.sha256, /^[0-9a-f]{64}$/);
    if (env.HTTPS_PROXY) return; // `ws` knows no proxy
    assert.deepEqual(await ask([NODE, client('websocket.mjs'), `${url}/ws`, 'KEY'], env), python);
  });

  test(`gRPC, ${way}`, async () => {
    const target = env.HTTPS_PROXY ? ['api.acme.example:443', 'KEY'] : [new URL(origin.h2c).host, 'KEY', 'plain'];
    const said = await ask([PYTHON, client('grpc_client.py'), ...target], env);
    assert.equal(said.streamed, true);
    assert.match(said.checksum, /^[0-9a-f]{64}$/);
  });
}

test('git, through the office', async () => {
  const said = await ask([client('git.sh'), 'https://git.acme.example/git/repository.git', 'KEY'], office);
  assert.match(said.head, /^[0-9a-f]{40}$/);
  const { stdout } = await git('-C', 'repository.git', 'rev-parse', 'HEAD');
  assert.equal(stdout.trim(), said.pushed);
});

test('curl over HTTP/2', async () => {
  const said = await ask([client('curl.sh'), 'https://api.acme.example', 'KEY', '--http2'], office);
  assert.equal(said.sha256, BODY);
  assert(origin.lines.some(({ version, path: asked }) => version === '2.0' && asked === '/echo'));
});

test('who has the wrong key is refused', async () => {
  await assert.rejects(ask([client('curl.sh'), origin.plain, 'WRONG'], { WRONG: 'placeholder' }));
  assert.equal(origin.lines.filter(({ connect }) => connect === 'api.acme.example:443').length > 0, true);
});
