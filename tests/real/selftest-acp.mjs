// Proves the parts of the Agent Client Protocol against each other: every agent as its user starts it, the editor, the
// server of models; and that the recordings play.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { here, run, start } from './parts.mjs';

const bin = path.join(here, 'acp-agents/node_modules/.bin');
const gptme = path.join(here, '../../target/tools/acp-agents/bin/gptme-acp');
const digest = (text) => createHash('sha256').update(text).digest('hex');
const home = mkdtempSync(path.join(os.tmpdir(), 'selftest-acp-'));
after(() => rmSync(home, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 }));
const models = await start('model-server.mjs', { key: 'the key' });

/** What an editor saw of the steps. */
async function edit(steps, command, { env = {}, ...options } = {}) {
  const given = JSON.stringify({ steps, cwd: home, ...options });
  const variables = { PATH: process.env.PATH, HOME: home, LANG: 'C.UTF-8', ...env };
  const { stdout } = await run(process.execPath, [path.join(here, 'acp-editor.mjs'), given, ...command], { env: variables, maxBuffer: 1e8 });
  const lines = stdout.trim().split('\n').map((line) => JSON.parse(line));
  return { lines, steps: lines.filter((line) => line.step !== undefined) };
}

/** A prompt that is answered by the model, with the key. */
async function answered(command, before, env) {
  const seen = models.lines.length;
  const { steps, lines } = await edit([['initialize'], ...before, ['session/new'], ['session/prompt', 'say pong']], command, { env });
  assert.equal(steps.at(-1).result?.stopReason, 'end_turn', JSON.stringify(steps.at(-1)));
  assert.ok(lines.some(({ got }) => got?.params?.update?.content?.text?.includes('pong')));
  const came = models.lines.slice(seen).filter(({ status }) => status === 200);
  assert.ok(came.some(({ keys }) => Object.values(keys).includes(digest('the key'))));
}

const set = (providerId, apiType, baseUrl) => ['request', 'providers/set', { providerId, apiType, baseUrl, headers: { 'x-authctl-key': 'the key' } }];
const gateway = (baseUrl, protocol) => ['authenticate', 'gateway', { gateway: { baseUrl, protocol, headers: { 'x-authctl-key': 'the key' } } }];

test('Claude by providers/set', () => answered([`${bin}/claude-agent-acp`], [set('main', 'anthropic', models.url)]));
test('Claude by variables', () => answered([`${bin}/claude-agent-acp`], [], { ANTHROPIC_API_KEY: 'the key', ANTHROPIC_BASE_URL: models.url }));
test('Codex by providers/set', () => answered([`${bin}/codex-acp`], [set('openai', 'openai', `${models.url}/v1`)]));
test('Codex by its gateway', () => answered([`${bin}/codex-acp`], [gateway(`${models.url}/v1`)]));
test('Gemini by its gateway', () => answered([`${bin}/gemini`, '--acp'], [gateway(models.url)]));
test('Gemini by variables', () => answered([`${bin}/gemini`, '--acp'], [], { GEMINI_API_KEY: 'the key', GOOGLE_GEMINI_BASE_URL: models.url }));
test('Qwen by variables', () =>
  answered([`${bin}/qwen`, '--acp', '--auth-type=openai'], [], { OPENAI_API_KEY: 'the key', OPENAI_BASE_URL: `${models.url}/v1` }));
test('OpenCode by variables', () =>
  answered([`${bin}/opencode`, 'acp'], [], { OPENAI_API_KEY: 'the key', OPENAI_BASE_URL: `${models.url}/v1`, OPENCODE_CONFIG_CONTENT: '{"model":"openai/gpt-5"}' }));
test('Cline by variables', () => answered([`${bin}/cline`, '--acp'], [], { CLINE_API_KEY: 'the key', CLINE_API_BASE_URL: models.url }));
test('gptme by variables', () => answered([gptme], [], { OPENAI_API_KEY: 'the key', OPENAI_BASE_URL: `${models.url}/v1`, MODEL: 'openai/gpt-5' }));

test('a key that is not let in', async () => {
  const env = { OPENAI_API_KEY: 'another', OPENAI_BASE_URL: `${models.url}/v1` };
  const { steps } = await edit([['initialize'], ['session/new'], ['session/prompt', 'hi']], [`${bin}/qwen`, '--acp', '--auth-type=openai'], { env });
  assert.notEqual(steps.at(-1).result?.stopReason, 'end_turn');
  assert.equal(models.lines.at(-1).status, 401);
});

test('every recording plays', async () => {
  for (const name of readdirSync(path.join(here, 'acp-fixtures')).filter((file) => file.endsWith('.json'))) {
    const fixture = path.join(here, 'acp-fixtures', name);
    const witness = path.join(home, `${name}.witness`);
    const { runs } = JSON.parse(readFileSync(fixture));
    const { steps } = await edit([['initialize'], ['session/new']], [process.execPath, path.join(here, 'acp-playback.mjs'), fixture, witness]);
    const [hello, session] = runs['caps-none'].steps.map(({ response }) => response);
    assert.deepEqual(steps[0].result, hello.result, name);
    assert.deepEqual(steps[1].error, session.error, name);
    assert.match(readFileSync(witness, 'utf8'), /^\{"start"/);
  }
});
