#!/usr/bin/env node
// The server on stdio that the server scenarios of the official conformance suite want: their tools, resources and
// prompts, by name. Of one era alone, so that what is in front of it has to make the other one of it.
//
//   node conformance-server.mjs legacy    by the TypeScript SDK 1.x: 2025-11-25, `initialize` first
//   node conformance-server.mjs modern    by the TypeScript SDK 2.x: 2026-07-28, and `initialize` is refused

import { createHmac, randomBytes } from 'node:crypto';
import { Server } from '@modelcontextprotocol/sdk/server/index.js';
import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js';
import * as v1 from '@modelcontextprotocol/sdk/types.js';
import { McpServer, ProtocolError, ResourceTemplate, fromJsonSchema } from '@modelcontextprotocol/server';
import { serveStdio } from '@modelcontextprotocol/server/stdio';

const era = process.argv[2];
const PNG = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg==';
const WAV = 'UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQAAAAA=';
const pause = () => new Promise((resolve) => setTimeout(resolve, 50));
const text = (value) => ({ type: 'text', text: value });
const content = (...parts) => ({ content: parts });
const object = (properties = {}, required = Object.keys(properties)) => ({ type: 'object', properties, required });
const string = { type: 'string' };
const image = { type: 'image', data: PNG, mimeType: 'image/png' };

// ------------------------------------------------------------------------------------------------ the same in both

// Every keyword that has to come through as it is.
function keywords() {
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    type: 'object',
    $defs: { address: { $anchor: 'addressDef', type: 'object', properties: { street: string, city: string } } },
    properties: {
      name: string,
      address: { $ref: '#/$defs/address' },
      contactMethod: { ...string, enum: ['phone', 'email'] },
      phone: string,
      email: string,
    },
    allOf: [{ anyOf: [{ required: ['phone'] }, { required: ['email'] }] }],
    if: { properties: { contactMethod: { const: 'phone' } }, required: ['contactMethod'] },
    then: { required: ['phone'] },
    else: { required: ['email'] },
    additionalProperties: false,
  };
}

// What each tool takes and does; `tell` sends a notification that belongs to the call.
const TOOLS = {
  test_simple_text: [object(), () => content(text('This is a simple text response for testing.'))],
  test_image_content: [object(), () => content(image)],
  test_audio_content: [object(), () => content({ type: 'audio', data: WAV, mimeType: 'audio/wav' })],
  test_embedded_resource: [
    object(),
    () => content(embedded('test://embedded-resource', 'text/plain', 'This is an embedded resource content.')),
  ],
  test_multiple_content_types: [
    object(),
    () =>
      content(
        text('Multiple content types test:'),
        image,
        embedded('test://mixed-content-resource', 'application/json', JSON.stringify({ test: 'data', value: 123 })),
      ),
  ],
  test_error_handling: [
    object(),
    () => ({ isError: true, ...content(text('This tool intentionally returns an error for testing')) }),
  ],
  test_tool_with_progress: [object(), progress],
  test_tool_with_logging: [object(), logging],
  json_schema_2020_12_tool: [keywords(), () => content(text('called'))],
  test_x_mcp_header: [object({ region: { ...string, 'x-mcp-header': 'Region' } }), ({ region }) => content(text(region))],
};

const RESOURCES = {
  'test://static-text': { mimeType: 'text/plain', text: 'This is the content of the static text resource.' },
  'test://static-binary': { mimeType: 'image/png', blob: PNG },
  'test://watched-resource': { mimeType: 'text/plain', text: 'Watched resource content' },
};

const user = (part) => ({ role: 'user', content: part });
const PROMPTS = {
  test_simple_prompt: [[], () => [user(text('This is a simple prompt for testing.'))]],
  test_prompt_with_arguments: [
    ['arg1', 'arg2'],
    ({ arg1, arg2 }) => [user(text(`Prompt with arguments: arg1='${arg1}', arg2='${arg2}'`))],
  ],
  test_prompt_with_embedded_resource: [
    ['resourceUri'],
    ({ resourceUri }) => [
      user(embedded(resourceUri, 'text/plain', 'Embedded resource content for testing.')),
      user(text('Please process the embedded resource above.')),
    ],
  ],
  test_prompt_with_image: [[], () => [user(image), user(text('Please analyze the image above.'))]],
};

function embedded(uri, mimeType, words) {
  return { type: 'resource', resource: { uri, mimeType, text: words } };
}

async function progress(_args, { token, tell }) {
  for (const done of token === undefined ? [] : [0, 50, 100]) {
    await tell('notifications/progress', { progressToken: token, progress: done, total: 100 });
    await pause();
  }
  return content(text('done'));
}

async function logging(_args, { tell }) {
  for (const data of ['Tool execution started', 'Tool processing data', 'Tool execution completed']) {
    await tell('notifications/message', { level: 'info', data });
    await pause();
  }
  return content(text('logged'));
}

const byTemplate = (id) => JSON.stringify({ id, templateTest: true, data: `Data for ID: ${id}` });

// ------------------------------------------------------------------------------------------------------ 2025-11-25

const FORMS = {
  test_elicitation: object({ username: string, email: string }),
  test_elicitation_sep1034_defaults: object(
    {
      name: { ...string, default: 'John Doe' },
      age: { type: 'integer', default: 30 },
      score: { type: 'number', default: 95.5 },
      status: { ...string, enum: ['active', 'inactive', 'pending'], default: 'active' },
      verified: { type: 'boolean', default: true },
    },
    [],
  ),
  test_elicitation_sep1330_enums: object(
    {
      untitledSingle: { ...string, enum: ['option1', 'option2', 'option3'] },
      titledSingle: { ...string, oneOf: titled('First Option', 'Second Option', 'Third Option') },
      legacyEnum: { ...string, enum: ['opt1', 'opt2', 'opt3'], enumNames: ['Option One', 'Option Two', 'Option Three'] },
      untitledMulti: { type: 'array', items: { ...string, enum: ['option1', 'option2', 'option3'] } },
      titledMulti: { type: 'array', items: { anyOf: titled('First Choice', 'Second Choice', 'Third Choice') } },
    },
    [],
  ),
};

function titled(...titles) {
  return titles.map((title, index) => ({ const: `value${index + 1}`, title }));
}

async function elicit(server, name, message = 'Please fill in the form') {
  const { action, content: given } = await server.elicitInput({ message, requestedSchema: FORMS[name] });
  const what = name === 'test_elicitation' ? 'User response' : 'Elicitation completed';
  return content(text(`${what}: action=${action}, content=${JSON.stringify(given ?? {})}`));
}

async function sample(server, prompt) {
  const messages = [user(text(prompt))];
  const answer = await server.createMessage({ messages, maxTokens: 100 });
  return content(text(`LLM response: ${answer.content.text}`));
}

const ASKING = {
  test_sampling: [object({ prompt: string }), (server, { prompt }) => sample(server, prompt)],
  test_elicitation: [object({ message: string }), (server, { message }) => elicit(server, 'test_elicitation', message)],
  test_elicitation_sep1034_defaults: [object(), (server) => elicit(server, 'test_elicitation_sep1034_defaults')],
  test_elicitation_sep1330_enums: [object(), (server) => elicit(server, 'test_elicitation_sep1330_enums')],
};

async function legacy() {
  const capabilities = { tools: {}, prompts: {}, completions: {}, logging: {}, resources: { subscribe: true } };
  const server = new Server({ name: 'conformance-legacy', version: '1.0.0' }, { capabilities });
  const on = (schema, answer) => server.setRequestHandler(schema, answer);
  const described = (name, inputSchema) => ({ name, description: `Does ${name}.`, inputSchema });
  on(v1.ListToolsRequestSchema, () => ({
    tools: Object.entries({ ...TOOLS, ...ASKING }).map(([name, [schema]]) => described(name, schema)),
  }));
  on(v1.CallToolRequestSchema, ({ params: { name, arguments: given = {} } }, { _meta, sendNotification }) => {
    if (ASKING[name]) return ASKING[name][1](server, given);
    if (!TOOLS[name]) throw new v1.McpError(v1.ErrorCode.InvalidParams, `no tool ${name}`);
    const tell = (method, params) => sendNotification({ method, params });
    return TOOLS[name][1](given, { token: _meta?.progressToken, tell });
  });
  on(v1.ListResourcesRequestSchema, () => ({
    resources: Object.entries(RESOURCES).map(([uri, { mimeType }]) => ({ uri, name: uri, description: uri, mimeType })),
  }));
  on(v1.ListResourceTemplatesRequestSchema, () => ({
    resourceTemplates: [{ uriTemplate: 'test://template/{id}/data', name: 'template', description: 'By id.' }],
  }));
  on(v1.ReadResourceRequestSchema, ({ params: { uri } }) => {
    const [, id] = uri.match(/^test:\/\/template\/(.+)\/data$/) ?? [];
    if (id) return { contents: [{ uri, mimeType: 'application/json', text: byTemplate(id) }] };
    if (RESOURCES[uri]) return { contents: [{ uri, ...RESOURCES[uri] }] };
    throw new v1.McpError(v1.ErrorCode.InvalidParams, 'Resource not found', { uri });
  });
  for (const schema of [v1.SubscribeRequestSchema, v1.UnsubscribeRequestSchema]) on(schema, () => ({}));
  on(v1.ListPromptsRequestSchema, () => ({
    prompts: Object.entries(PROMPTS).map(([name, [names]]) => ({
      name,
      description: `Is ${name}.`,
      arguments: names.map((argument) => ({ name: argument, description: argument, required: true })),
    })),
  }));
  on(v1.GetPromptRequestSchema, ({ params: { name, arguments: given = {} } }) => ({ messages: PROMPTS[name][1](given) }));
  on(v1.CompleteRequestSchema, () => ({ completion: { values: ['paris'], total: 1, hasMore: false } }));
  await server.connect(new StdioServerTransport());
}

// ------------------------------------------------------------------------------------------------------ 2026-07-28

const KEY = randomBytes(32);
const sign = (state) => `${state}.${createHmac('sha256', KEY).update(state).digest('hex')}`;
const form = (message, properties) => ({ method: 'elicitation/create', params: { mode: 'form', message, requestedSchema: object(properties) } });
const sampling = (prompt) => ({ method: 'sampling/createMessage', params: { messages: [user(text(prompt))], maxTokens: 100 } });
const ROOTS = { method: 'roots/list', params: {} };
const required = (inputRequests, state) => ({ resultType: 'input_required', inputRequests, ...(state && { requestState: sign(state) }) });
const NAME = () => form('What is your name?', { name: string });

// The rounds of each tool: what is asked for in each, and what is said in the end.
const ROUNDS = {
  elicitation: [[{ user_name: NAME() }], ({ user_name }) => `Hello, ${user_name.content.name}!`],
  sampling: [[{ capital_question: sampling('What is the capital of France?') }], ({ capital_question }) => capital_question.content.text],
  list_roots: [[{ client_roots: ROOTS }], ({ client_roots }) => JSON.stringify(client_roots.roots)],
  request_state: [[{ confirm: form('Please confirm', { ok: { type: 'boolean' } }) }], () => 'state-ok', true],
  tampered_state: [[{ confirm: form('Please confirm', { ok: { type: 'boolean' } }) }], () => 'state-ok', true],
  multiple_inputs: [
    [{ user_name: NAME(), greeting: sampling('Generate a greeting'), client_roots: ROOTS }],
    () => 'all given',
    true,
  ],
  multi_round: [
    [
      { step1: form('Step 1: What is your name?', { name: string }) },
      { step2: form('Step 2: What is your favorite color?', { color: string }) },
    ],
    () => 'both given',
    true,
  ],
};

function round(name, { inputResponses = {}, requestState }) {
  const [rounds, say, hasState] = ROUNDS[name];
  if (requestState !== undefined && sign(requestState.split('.')[0]) !== requestState) throw invalid('requestState is not ours');
  const done = hasState ? Number(requestState?.split('.')[0] ?? 0) : 0;
  const wanted = rounds[Math.max(done - 1, 0)];
  const isGiven = (hasState ? done > 0 : true) && Object.entries(wanted).every(([key, { method }]) => fits(method, inputResponses[key]));
  const next = isGiven ? Math.max(done, 1) + 1 : Math.max(done, 1);
  if (next > rounds.length) return say(inputResponses);
  return required(rounds[next - 1], hasState && String(next));
}

function fits(method, answer) {
  if (typeof answer !== 'object' || answer === null) return false;
  if (method === 'elicitation/create') return answer.action !== 'accept' || typeof answer.content === 'object';
  return method === 'roots/list' ? Array.isArray(answer.roots) : typeof answer.content === 'object';
}

const invalid = (message) => new ProtocolError(-32602, message);
const CAPABILITIES = 'io.modelcontextprotocol/clientCapabilities';
const LOG_LEVEL = 'io.modelcontextprotocol/logLevel';

// Answers the questions of `ASKING` in one round each.
async function ask(name, given, { inputResponses }) {
  const answer = inputResponses?.input;
  const asker = {
    elicitInput: ({ message, requestedSchema }) =>
      answer ?? { asks: { method: 'elicitation/create', params: { mode: 'form', message, requestedSchema } } },
    createMessage: (params) => answer ?? { content: {}, asks: { method: 'sampling/createMessage', params } },
  };
  let asked;
  const noting = Object.fromEntries(
    Object.entries(asker).map(([method, call]) => [method, (params) => (asked = call(params))]),
  );
  const result = await ASKING[name][1](noting, given);
  return asked?.asks ? required({ input: asked.asks }) : result;
}

// What the tools of the suite for this revision do, by what the client can.
const OWN = {
  test_missing_capability: ({ _meta }) => {
    if (_meta?.[CAPABILITIES]?.sampling) return content(text('it can'));
    throw new ProtocolError(-32021, 'sampling is wanted', { requiredCapabilities: { sampling: {} } });
  },
  test_streaming_elicitation: () => required({ user_name: NAME() }),
  test_logging_tool: async ({ _meta }, tell) => {
    if (_meta?.[LOG_LEVEL]) await tell('notifications/message', { level: 'info', data: 'logged' });
    return content(text('done'));
  },
  test_input_required_result_capabilities: ({ _meta, inputResponses }) => {
    if (inputResponses) return content(text('given'));
    const able = _meta?.[CAPABILITIES] ?? {};
    const all = { sampling: ['capital', sampling('What is the capital of France?')], elicitation: ['name', NAME()], roots: ['roots', ROOTS] };
    const asked = Object.entries(all).filter(([capability]) => able[capability]);
    return required(Object.fromEntries(asked.map(([, [key, request]]) => [key, request])));
  },
};

function modern() {
  const server = new McpServer(
    { name: 'conformance-modern', version: '1.0.0' },
    { capabilities: { tools: { listChanged: true }, prompts: { listChanged: true }, resources: { subscribe: true }, completions: {}, logging: {} } },
  );
  const { server: low } = server;
  const rounds = Object.keys(ROUNDS).map((name) => `test_input_required_result_${name}`);
  const bare = [...rounds, ...Object.keys(OWN), 'test_trigger_tool_change', 'test_trigger_prompt_change'];
  const schemas = Object.entries({ ...TOOLS, ...ASKING }).map(([name, [schema]]) => [name, schema]);
  for (const [name, schema] of [...schemas, ...bare.map((name) => [name, object()])]) {
    server.registerTool(name, { description: `Does ${name}.`, inputSchema: fromJsonSchema(schema) }, () => {});
  }
  low.setRequestHandler('tools/call', ({ params: { name, arguments: given = {} } }, { mcpReq }) => {
    const tell = (method, params) => mcpReq.notify({ method, params });
    const { inputResponses } = mcpReq;
    const _meta = { ...mcpReq._meta, ...mcpReq.envelope };
    if (name === 'test_trigger_tool_change') return server.sendToolListChanged(), content(text('changed'));
    if (name === 'test_trigger_prompt_change') return server.sendPromptListChanged(), content(text('changed'));
    if (TOOLS[name]) return TOOLS[name][1](given, { token: _meta?.progressToken, tell });
    if (ASKING[name]) return ask(name, given, { inputResponses });
    if (OWN[name]) return OWN[name]({ _meta, inputResponses }, tell);
    if (!rounds.includes(name)) throw invalid(`no tool ${name}`);
    const said = round(name.slice('test_input_required_result_'.length), { inputResponses, requestState: mcpReq.requestState?.() });
    return typeof said === 'string' ? content(text(said)) : said;
  });
  for (const [uri, given] of Object.entries(RESOURCES)) {
    server.registerResource(uri, uri, { description: uri, mimeType: given.mimeType }, () => ({ contents: [{ uri, ...given }] }));
  }
  const template = new ResourceTemplate('test://template/{id}/data', { list: undefined });
  server.registerResource('template', template, { description: 'By id.' }, (uri, { id }) => ({
    contents: [{ uri: uri.href, mimeType: 'application/json', text: byTemplate(id) }],
  }));
  for (const [name, [names, messages]] of Object.entries(PROMPTS)) {
    const argsSchema = fromJsonSchema(object(Object.fromEntries(names.map((argument) => [argument, string]))));
    const described = { description: `Is ${name}.`, ...(names.length > 0 && { argsSchema }) };
    server.registerPrompt(name, described, (given) => ({ messages: messages(given ?? {}) }));
  }
  const asking = 'test_input_required_result_prompt';
  server.registerPrompt(asking, { description: `Is ${asking}.` }, ({ mcpReq }) => {
    const given = mcpReq?.inputResponses?.user_context?.content?.context;
    if (given === undefined) return required({ user_context: form('What context should the prompt use?', { context: string }) });
    return { messages: [user(text(given))] };
  });
  low.setRequestHandler('completion/complete', () => ({ completion: { values: ['paris'], total: 1, hasMore: false } }));
  return server;
}

if (era === 'modern') serveStdio(modern, { legacy: 'reject' });
else await legacy();
