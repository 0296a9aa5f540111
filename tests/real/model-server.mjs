#!/usr/bin/env node
// A server of models that says the same to everybody: messages of Anthropic, responses and chat completions of OpenAI,
// generateContent of Gemini, each whole and as a stream, and their lists of models.
//
//   node model-server.mjs '{"key": KEY, "text": TEXT}'
//
//   key   the one key that is let in, in whatever header; none: everybody is
//   text  what the model says ("pong"); who asks Gemini for JSON gets the least that fits
//   port  to listen on; any
//
// stdout: first {"url"}, then {"method", "path", "headers", "keys", "stream", "status"} for each request: names of
// headers, and of each that carries a key the SHA-256 of the key, without a word before it. stdin: options in a line of
// their own take the place of those there, and are answered with {"done": "options"}.

import { createHash } from 'node:crypto';
import http from 'node:http';
import readline from 'node:readline';

const options = { key: null, text: 'pong', port: 0, ...JSON.parse(process.argv[2] ?? '{}') };
const say = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);
const MODELS = ['fake-model', 'claude-sonnet-4-5', 'gpt-5', 'gemini-2.5-pro'];

// ------------------------------------------------------------------------------------------ who comes

const KEY_HEADERS = ['authorization', 'x-api-key', 'x-goog-api-key', 'api-key', 'x-authctl', 'x-authctl-key'];

/** The keys of a request by their headers, or by `?key`. */
function keysOf(request, url) {
  const keys = {};
  for (const name of KEY_HEADERS) {
    const value = request.headers[name];
    if (value) keys[name] = value.replace(/^(Bearer|Basic|token) /i, '');
  }
  if (url.searchParams.has('key')) keys['?key'] = url.searchParams.get('key');
  return keys;
}

const digest = (text) => createHash('sha256').update(text).digest('hex');
const digests = (keys) => Object.fromEntries(Object.entries(keys).map(([name, key]) => [name, digest(key)]));
const isWelcome = (keys) => options.key === null || Object.values(keys).includes(options.key);

async function read(request) {
  const pieces = [];
  for await (const piece of request) pieces.push(piece);
  try {
    return JSON.parse(Buffer.concat(pieces));
  } catch {
    return {};
  }
}

// ------------------------------------------------------------------------------------------ how it is said

const json = (response, value, status = 200) =>
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));

function events(response, list, { named = true, end = '' } = {}) {
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  for (const event of list) response.write(`${named ? `event: ${event.type}\n` : ''}data: ${JSON.stringify(event)}\n\n`);
  response.end(end);
}

/** A refusal as each of the three words it. */
function refuse(response, kind) {
  const message = 'The key is not valid.';
  const bodies = {
    messages: { type: 'error', error: { type: 'authentication_error', message } },
    gemini: { error: { code: 401, message, status: 'UNAUTHENTICATED' } },
  };
  json(response, bodies[kind] ?? { error: { message, type: 'invalid_request_error', code: 'invalid_api_key' } }, 401);
}

function models(response, request) {
  const isAnthropic = 'anthropic-version' in request.headers;
  const made = '2026-01-01T00:00:00Z';
  const one = (id) => (isAnthropic ? { type: 'model', id, display_name: id, created_at: made } : { id, object: 'model', owned_by: 'fake', created: 1 });
  const whole = isAnthropic ? { has_more: false, first_id: MODELS[0], last_id: MODELS.at(-1) } : { object: 'list' };
  json(response, { ...whole, data: MODELS.map(one) });
}

function geminiModels(response) {
  const supportedGenerationMethods = ['generateContent', 'countTokens'];
  json(response, { models: MODELS.map((name) => ({ name: `models/${name}`, displayName: name, supportedGenerationMethods })) });
}

function messages(response, { model = MODELS[0], stream }) {
  const base = { id: 'msg_1', type: 'message', role: 'assistant', model, stop_reason: null, stop_sequence: null };
  const usage = { input_tokens: 1, output_tokens: 1 };
  const text = { type: 'text', text: options.text };
  if (!stream) return json(response, { ...base, content: [text], stop_reason: 'end_turn', usage });
  return events(response, [
    { type: 'message_start', message: { ...base, content: [], usage } },
    { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
    { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: options.text } },
    { type: 'content_block_stop', index: 0 },
    { type: 'message_delta', delta: { stop_reason: 'end_turn', stop_sequence: null }, usage },
    { type: 'message_stop' },
  ]);
}

function responses(response, { model = MODELS[0], stream = true }) {
  const part = { type: 'output_text', text: options.text, annotations: [] };
  const item = { id: 'item_1', type: 'message', role: 'assistant', status: 'completed', content: [part] };
  const base = { id: 'resp_1', object: 'response', created_at: 1, model };
  const usage = { input_tokens: 1, input_tokens_details: { cached_tokens: 0 }, output_tokens: 1, output_tokens_details: { reasoning_tokens: 0 }, total_tokens: 2 };
  const whole = { ...base, status: 'completed', output: [item], usage };
  if (!stream) return json(response, whole);
  const place = { item_id: item.id, output_index: 0, content_index: 0 };
  const list = [
    { type: 'response.created', response: { ...base, status: 'in_progress', output: [] } },
    { type: 'response.output_item.added', output_index: 0, item: { ...item, status: 'in_progress', content: [] } },
    { type: 'response.content_part.added', ...place, part: { ...part, text: '' } },
    { type: 'response.output_text.delta', ...place, delta: options.text },
    { type: 'response.output_text.done', ...place, text: options.text },
    { type: 'response.content_part.done', ...place, part },
    { type: 'response.output_item.done', output_index: 0, item },
    { type: 'response.completed', response: whole },
  ];
  return events(response, list.map((event, n) => ({ ...event, sequence_number: n })));
}

function completions(response, { model = MODELS[0], stream }) {
  const base = { id: 'chatcmpl-1', created: 1, model };
  const usage = { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 };
  const message = { role: 'assistant', content: options.text };
  if (!stream) {
    return json(response, { ...base, object: 'chat.completion', choices: [{ index: 0, message, finish_reason: 'stop' }], usage });
  }
  const chunk = (choice, more = {}) => ({ ...base, object: 'chat.completion.chunk', choices: [{ index: 0, finish_reason: null, ...choice }], ...more });
  const list = [chunk({ delta: message }), chunk({ delta: {}, finish_reason: 'stop' }, { usage })];
  return events(response, list, { named: false, end: 'data: [DONE]\n\n' });
}

/** The least that a JSON schema takes. */
function sample({ type = 'object', properties = {}, required = Object.keys(properties), enum: [first] = [] }) {
  switch (type.toLowerCase()) {
    case 'object': return Object.fromEntries(required.map((name) => [name, sample(properties[name])]));
    case 'array': return [];
    case 'boolean': return true;
    case 'string': return first ?? options.text;
    default: return 1;
  }
}

function generate(response, modelVersion, stream, { generationConfig: { responseJsonSchema, responseSchema = responseJsonSchema } = {} }) {
  const text = responseSchema ? JSON.stringify(sample(responseSchema)) : options.text;
  const content = { role: 'model', parts: [{ text }] };
  const usageMetadata = { promptTokenCount: 1, candidatesTokenCount: 1, totalTokenCount: 2 };
  const whole = { candidates: [{ index: 0, content, finishReason: 'STOP' }], usageMetadata, modelVersion };
  return stream ? events(response, [whole], { named: false }) : json(response, whole);
}

// ------------------------------------------------------------------------------------------ who answers

/** What a path asks for, whatever stands before it. */
function kindOf(pathname) {
  const gemini = /\/models\/([^/:]+):(\w+)$/.exec(pathname);
  if (gemini) return { kind: 'gemini', model: gemini[1], verb: gemini[2] };
  if (/\/v1(alpha|beta)\d*\/models$/.test(pathname)) return { kind: 'gemini', verb: 'list' };
  const [, kind = 'unknown'] = /\/(messages|messages\/count_tokens|responses|chat\/completions|models)$/.exec(pathname) ?? [];
  return { kind };
}

function answer(response, request, { kind, model, verb }, body) {
  const isList = kind === 'models' || verb === 'list';
  // Codex asks for a WebSocket first, with GET.
  if (request.method !== (isList ? 'GET' : 'POST')) return json(response, { error: { message: 'wrong method' } }, 405);
  switch (kind) {
    case 'messages': return messages(response, body);
    case 'messages/count_tokens': return json(response, { input_tokens: 1 });
    case 'responses': return responses(response, body);
    case 'chat/completions': return completions(response, body);
    case 'models': return models(response, request);
    case 'gemini':
      if (verb === 'list') return geminiModels(response);
      if (verb === 'countTokens') return json(response, { totalTokens: 1 });
      return generate(response, model, verb.startsWith('stream'), body);
    default: return json(response, { error: { message: 'no such page', type: 'not_found_error' } }, 404);
  }
}

async function serve(request, response) {
  const url = new URL(request.url, 'http://models');
  const [keys, what, body] = [keysOf(request, url), kindOf(url.pathname), await read(request)];
  response.on('finish', () =>
    say({ method: request.method, path: url.pathname, headers: Object.keys(request.headers), keys: digests(keys), stream: body.stream, status: response.statusCode }),
  );
  if (request.method === 'HEAD') return response.writeHead(200).end();
  return isWelcome(keys) ? answer(response, request, what, body) : refuse(response, what.kind);
}

const server = http.createServer((request, response) => serve(request, response).catch(() => response.destroy()));
server.listen(options.port, '127.0.0.1', () => say({ url: `http://127.0.0.1:${server.address().port}` }));
readline.createInterface({ input: process.stdin })
  .on('line', (line) => say({ done: Object.assign(options, JSON.parse(line)) && 'options' }))
  .on('close', () => process.exit(0));
