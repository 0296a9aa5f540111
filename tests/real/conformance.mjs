#!/usr/bin/env node
// Runs the client scenarios of the official conformance suite against `authctl mcp`, one at a time each, with
// the strict verdict: a failed check, a warning, a timeout or a client that ends badly is a failure.
//
//   AUTHCTL_TEST_BINARY=… node conformance.mjs [OPTIONS] [SCENARIO…]
//
//   --host legacy,dual     what kind of host is behind the bridge (dual)
//   --set NAME,…           of SETS (all)
//   --jobs N               scenarios at once, where no time is measured (as many as cores)
//   --json FILE            the results as JSON: {"version": 1, "passed", "failed", "runs": […]}
//
// stdout: a line a run, "ok" or "FAILED", with its reasons below it; then "N passed, N failed".

import { spawn } from 'node:child_process';
import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';

const here = import.meta.dirname;
const SUITE = path.join(here, 'node_modules/@modelcontextprotocol/conformance/dist/index.js');
const CLIENT = path.join(here, 'conformance-client.mjs');

// Where a scenario measures time, nothing else of the suite runs; what else the machine does may make it late,
// so that it has as many attempts. A client that ignores the time fails in all.
const TIMED = new Set(['sse-retry']);
const ATTEMPTS = 3;

// What is run, and how many scenarios that must be: a set that shrinks is an error.
const SETS = {
  '2025-11-25': { versions: ['2025-11-25'], count: 18, scenarios: () => required('2025-11-25') },
  '2026-07-28': { versions: ['2026-07-28'], count: 32, scenarios: () => required('2026-07-28') },
  extensions: {
    versions: ['2025-11-25', '2026-07-28'], // they belong to none, and are forced upon each
    count: 6,
    scenarios: () => extensions('2026-07-28'),
  },
  backcompat: {
    versions: ['2025-03-26'],
    count: 2,
    scenarios: () => ['auth/2025-03-26-oauth-metadata-backcompat', 'auth/2025-03-26-oauth-endpoint-fallback'],
  },
};

const { values: options, positionals: only } = parseArgs({
  allowPositionals: true,
  options: {
    host: { type: 'string', default: 'dual' },
    set: { type: 'string', default: Object.keys(SETS).join() },
    jobs: { type: 'string', default: String(os.availableParallelism()) },
    json: { type: 'string' },
  },
});

// ------------------------------------------------------------------------------------------------- the suite

// The suite's own words, and how it ended.
async function suite(args, env = {}) {
  const child = spawn(process.execPath, [SUITE, ...args], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (said += data));
  const code = await new Promise((resolve) => child.on('close', resolve));
  return { code, said };
}

// The lines under `title` of what a revision requires, up to the next empty one.
async function listed(revision, title) {
  const { said } = await suite(['list', '--requirements', revision]);
  const [, section = ''] = said.split(title);
  return section.split('\n\n')[0].match(/(?<=- )\S+.*/g) ?? [];
}

const required = (revision) => listed(revision, 'Client scenarios (test against a client):');

async function extensions(revision) {
  const { said } = await suite(['list', '--requirements', revision]);
  const [, section = ''] = said.split(/^ {2}extension \(\d+\):$/m);
  return (section.split(/^ {2}\S/m)[0].match(/\S+(?= \[client\])/g) ?? []).filter((name) => name !== '-');
}

// ---------------------------------------------------------------------------------------------------- a run

async function run({ scenario, version, host }) {
  const results = await mkdtemp(path.join(os.tmpdir(), 'conformance-results-'));
  const started = Date.now();
  const command = [process.execPath, CLIENT].map((word) => `'${word}'`).join(' ');
  const args = ['client', '--command', command, '--scenario', scenario, '--spec-version', version, '--force', '-o', results];
  try {
    const { code, said } = await suite(args, { MCP_TEST_HOST: host });
    const { checks, complaint } = await evidence(results);
    const reasons = judge(code, said, checks);
    const client = reasons.length > 0 ? complaint.slice(-5) : [];
    return { scenario, version, host, passed: reasons.length === 0, reasons, client, ms: Date.now() - started };
  } finally {
    await rm(results, { recursive: true, force: true });
  }
}

// The suite's checks, and the last words of the client.
async function evidence(results) {
  const found = await readdir(results, { recursive: true });
  const read = async (name) => {
    const file = found.find((entry) => path.basename(entry) === name);
    return file ? readFile(path.join(results, file), 'utf8') : '';
  };
  const checks = JSON.parse((await read('checks.json')) || '[]');
  return { checks, complaint: (await read('stderr.txt')).trim().split('\n').filter(Boolean) };
}

function judge(code, said, checks) {
  const bad = checks.filter(({ status }) => status === 'FAILURE' || status === 'WARNING');
  const reasons = bad.map(({ status, id, errorMessage, description }) => `${status} ${id}: ${errorMessage ?? description}`);
  if (/CLIENT TIMED OUT/.test(said)) reasons.push('the client timed out');
  if (/CLIENT EXITED WITH ERROR/.test(said)) reasons.push('the client ended with an error');
  // A scenario that does not apply is skipped with status 0, and proves nothing.
  if (!checks.some(({ status }) => status === 'SUCCESS')) reasons.push('no check was passed');
  if (reasons.length === 0 && code !== 0) reasons.push(`the suite ended with ${code}: ${said.slice(-300)}`);
  return reasons;
}

// ------------------------------------------------------------------------------------------------- all of them

async function plan() {
  const runs = [];
  for (const name of options.set.split(',')) {
    const set = SETS[name];
    if (!set) throw new Error(`no set ${name}; there are ${Object.keys(SETS).join(', ')}`);
    const scenarios = await set.scenarios();
    if (scenarios.length !== set.count) throw new Error(`${name}: ${scenarios.length} scenarios instead of ${set.count}`);
    for (const host of options.host.split(',')) {
      for (const version of set.versions) {
        runs.push(...scenarios.map((scenario) => ({ set: name, scenario, version, host })));
      }
    }
  }
  return runs.filter(({ scenario }) => only.length === 0 || only.includes(scenario));
}

function report(result) {
  const { passed, version, host, scenario, ms, reasons, client } = result;
  const said = client.map((line) => `client: ${line}`);
  console.log(`${passed ? 'ok    ' : 'FAILED'} ${version} ${host.padEnd(6)} ${scenario} (${ms} ms)`);
  for (const line of [...reasons, ...said]) console.log(`         ${line.replaceAll('\n', ' ')}`);
}

async function attempt(next) {
  const limit = TIMED.has(next.scenario) ? ATTEMPTS : 1;
  for (let attempts = 1; ; attempts++) {
    const result = { ...(await run(next)), attempts };
    if (result.passed || attempts === limit) return result;
  }
}

async function work(runs, jobs) {
  const results = [];
  const queue = [...runs];
  const worker = async () => {
    for (let next = queue.shift(); next; next = queue.shift()) {
      const result = { set: next.set, ...(await attempt(next)) };
      report(result);
      results.push(result);
    }
  };
  await Promise.all(Array.from({ length: jobs }, worker));
  return results;
}

const runs = await plan();
if (runs.length === 0) throw new Error(`nothing to run: ${only.join(' ')}`);
const together = runs.filter(({ scenario }) => !TIMED.has(scenario));
const alone = runs.filter(({ scenario }) => TIMED.has(scenario));
const results = [...(await work(together, Number(options.jobs))), ...(await work(alone, 1))];
const passed = results.filter((result) => result.passed).length;
const failed = results.length - passed;
if (options.json) await writeFile(options.json, JSON.stringify({ version: 1, passed, failed, runs: results }, null, 2));
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 ? 1 : 0;
