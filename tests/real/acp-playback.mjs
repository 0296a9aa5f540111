#!/usr/bin/env node
// An agent that answers what a real one answered (acp-fixtures), by what its client announced and by what reached it,
// and that writes down what did.
//
//   node acp-playback.mjs FIXTURE WITNESS [ARGUMENT…]      the ARGUMENTs are those of the real agent
//
// Beyond the recordings: a method that was never tried is not answered until it is cancelled, `providers/set` and a
// prompt ask for the list of models at the base URL that the agent was given, as the real ones ask their models, and
// a prompt without a credential ends as it did with that agent.
//
// WITNESS gets a JSON value a line: {"start": PID, "argv", "env"} once a process, {"method", "id", "values"} for
// what may carry a credential, {"call": STATUS} for each request to a base URL, {"end": PID}. All values are SHA-256.

import { createHash, randomUUID } from 'node:crypto';
import { appendFileSync, readFileSync } from 'node:fs';
import readline from 'node:readline';

const [fixture, witness, ...argv] = process.argv.slice(2);
const { agent, keyVariables, runs } = JSON.parse(readFileSync(fixture, 'utf8'));
const digest = (text) => createHash('sha256').update(text).digest('hex');
const note = (value) => appendFileSync(witness, `${JSON.stringify(value)}\n`);

/** Every text in a value, by its path. */
function leaves(value, path = '') {
  if (typeof value === 'string') return { [path]: digest(value), ...(/^Bearer /.test(value) && { [`${path}#bearer`]: digest(value.slice(7)) }) };
  return Object.assign({}, ...Object.entries(value ?? {}).map(([name, inner]) => leaves(inner, path ? `${path}.${name}` : name)));
}

// ------------------------------------------------------------------------------------------ the recordings

const has = (name) => Boolean(process.env[name]);
const step = (run, request) => run.steps.find((it) => it.request === request);
const all = Object.entries(runs).map(([name, run]) => ({ name, ...run }));

function announced({ auth, _meta, elicitation } = {}) {
  if (_meta?.['terminal-auth'] || auth?._meta?.gateway) return 'legacy';
  return auth?.terminal || elicitation ? 'auth' : 'none';
}

/** A run without steps of its own, made with the variables and arguments that are here. */
function runOfVariables() {
  const fits = ({ name, env, extraArgs = [], steps }) =>
    !name.startsWith('caps-') && steps.length === 2 && env.length > 0 && extraArgs.every((it) => argv.includes(it)) &&
    (name === 'dummy-key' ? env.some(has) : env.every(has));
  return all.filter(fits).sort((a, b) => b.env.length - a.env.length)[0];
}

/** The run in which this `authenticate` was tried in this situation. */
function runOfMethod({ methodId, _meta }) {
  const tried = all.filter((run) => step(run, 'authenticate')?.params.methodId === methodId);
  const isInBand = Boolean(_meta?.['api-key'] ?? _meta?.gateway);
  const hasKey = !isInBand && keyVariables.some(has);
  const fits = (run) => Boolean(step(run, 'authenticate').params._meta) === isInBand && run.env.length > 0 === hasKey;
  return tried.find(fits) ?? tried.find((run) => !step(run, 'authenticate').params._meta);
}

// ------------------------------------------------------------------------------------------ what reached it

const state = { caps: 'none', run: undefined, provider: undefined, loggedOut: false };
const hasCredential = () =>
  !state.loggedOut && Boolean(state.provider ?? (state.run ? step(state.run, 'session/new').response.result : runOfVariables()));
const current = () => state.run ?? runOfVariables() ?? runs[`caps-${state.caps}`];

/** Where this process was told that the models are, and with which headers. */
function models() {
  if (state.provider) return state.provider;
  const variable = Object.keys(process.env).find((name) => /_BASE_URL$/.test(name) && has(name));
  const key = Object.keys(process.env).find((name) => /_(API_KEY|AUTH_TOKEN)$/.test(name) && has(name));
  if (!variable || !key) return undefined;
  const value = process.env[key];
  return { baseUrl: process.env[variable], headers: { authorization: `Bearer ${value}` } };
}

async function callModels({ baseUrl, headers }) {
  try {
    const { status } = await fetch(`${baseUrl.replace(/\/$/, '')}/models`, { headers });
    note({ call: status });
    return status;
  } catch (error) {
    note({ call: error.message });
    return 0;
  }
}

// ------------------------------------------------------------------------------------------ answers

const say = (message) => process.stdout.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`);
const AUTH_REQUIRED = { error: { code: -32000, message: 'Authentication required' } };

/** Marks of a recording, filled in. */
const filled = (value, id) => JSON.parse(JSON.stringify(value).replaceAll('<UUID>', id));

function recorded(it) {
  const { result, error } = it.response;
  return error ? { error } : { result };
}

async function setProvider({ params }) {
  if (!step(runs['caps-none'], 'initialize').response.result.agentCapabilities?.providers) return { error: { code: -32601, message: 'Method not found' } };
  const status = await callModels(params);
  if (status !== 200) return recorded(step(runs['providers-set-unreachable'], 'providers/set'));
  Object.assign(state, { provider: params, loggedOut: false });
  return { result: {} };
}

async function authenticate({ params }) {
  const run = runOfMethod(params);
  if (!run) return undefined; // never tried: as the browser sign-ins, it waits
  const answer = recorded(step(run, 'authenticate'));
  if (answer.result) {
    Object.assign(state, { run, loggedOut: false });
    if (params._meta?.gateway) state.provider = params._meta.gateway;
  }
  return answer;
}

function newSession() {
  const sessionId = randomUUID();
  const withProvider = () => all.find((run) => step(run, 'session/new')?.response?.result);
  const run = state.provider && !state.run ? withProvider() : current();
  const { response } = state.loggedOut ? { response: AUTH_REQUIRED } : step(run, 'session/new');
  if (!response) return undefined;
  if (response.error) return { error: response.error };
  const asides = (run.unsolicited ?? []).filter(({ method }) => method !== 'session/update');
  asides.forEach((message) => say(filled(message, sessionId)));
  return { result: { ...filled(response.result, sessionId), sessionId } };
}

const text = (sessionId, words) =>
  say({ method: 'session/update', params: { sessionId, update: { sessionUpdate: 'agent_message_chunk', content: { type: 'text', text: words } } } });

/** How a prompt without a credential ended. */
function refuse({ sessionId }) {
  switch (agent) {
    case 'fast-agent': return { error: { code: -32603, message: 'Internal error', data: { details: 'Anthropic API key not configured' } } };
    case 'code-puppy':
      text(sessionId, 'Authentication failed: no API key was found.');
      return { result: { stopReason: 'refusal' } };
    case 'opencode': return undefined;
    default: return AUTH_REQUIRED;
  }
}

async function prompt({ params }) {
  if (!hasCredential()) return refuse(params);
  const place = models();
  if (place && (await callModels(place)) !== 200) return AUTH_REQUIRED;
  text(params.sessionId, 'pong');
  return { result: { stopReason: 'end_turn' } };
}

function initialize({ params }) {
  state.caps = announced(params.clientCapabilities);
  return recorded(step(runs[`caps-${state.caps}`], 'initialize'));
}

function logout() {
  Object.assign(state, { provider: undefined, run: undefined, loggedOut: true });
  return { result: {} };
}

function answer(message) {
  switch (message.method) {
    case 'initialize': return initialize(message);
    case 'authenticate': return authenticate(message);
    case 'providers/list': return recorded(step(runs['providers-set-unreachable'] ?? runs['caps-none'], 'providers/list'));
    case 'providers/set': return setProvider(message);
    case 'logout': return logout();
    case 'session/new': return newSession();
    case 'session/load': case 'session/resume': return hasCredential() ? { result: {} } : AUTH_REQUIRED;
    case 'session/prompt': return prompt(message);
    default: return { error: { code: -32601, message: 'Method not found' } };
  }
}

// ------------------------------------------------------------------------------------------ the wire

const TOLD = ['authenticate', 'providers/set', 'session/new', 'session/load', 'session/resume', 'session/prompt', 'logout', 'initialize'];

async function receive(line) {
  const message = JSON.parse(line);
  const { id, method, params } = message;
  if (TOLD.includes(method)) note({ method, id: params?.methodId, values: leaves(params), capabilities: params?.clientCapabilities });
  if (method === '$/cancel_request') return say({ id: params.requestId, error: { code: -32800, message: 'Request cancelled' } });
  if (id === undefined) return undefined;
  const said = await answer(message);
  return said && say({ id, ...said });
}

note({ start: process.pid, argv: argv.map(digest), env: leaves({ ...process.env }) });
process.on('exit', () => note({ end: process.pid }));
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP']) process.on(signal, () => process.exit(0));
readline.createInterface({ input: process.stdin }).on('line', receive).on('close', () => process.exit(0));
