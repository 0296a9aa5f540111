// An MCP host on the stdio of a server that it starts itself, written from the specification rather than with
// an SDK, so that it says exactly what it means to say:
//
//   legacy   `initialize` with 2025-11-25, and answers the requests of the server
//   dual     `server/discover` with 2026-07-28 first; `initialize` if that is refused
//
// It agrees to everything it is asked (elicitation with the defaults of the form, sampling, roots).

import { spawn } from 'node:child_process';
import readline from 'node:readline';

export const MODERN = '2026-07-28';
export const LEGACY = '2025-11-25';
const UNSUPPORTED_VERSION = -32022;
const METHOD_NOT_FOUND = -32601;
const CLIENT = { name: 'test-host', version: '1.0.0' };
const CAPABILITIES = { roots: {}, sampling: {}, elicitation: { form: {} } };

/** An error that the server answered. */
export class Refused extends Error {
  constructor(method, { code, message, data }) {
    super(`${method}: ${code} ${message}`);
    Object.assign(this, { method, code, data });
  }
}

export class Host {
  #child;
  #next = 1;
  #waiting = new Map();
  #listeners = new Set();
  #over = null; // why nothing comes any more
  era = null; // what `connect` found
  server = null; // the answer to `server/discover` or `initialize`
  notifications = [];
  asked = []; // what the server asked, or an input_required result
  meanwhile = null; // done once, before the first question is answered

  /** `open` is called with the address of a URL elicitation; `patience` is for one answer, in milliseconds. */
  constructor(command, args, { env, cwd, patience = 20_000, open = () => {} } = {}) {
    this.patience = patience;
    this.open = open;
    this.#child = spawn(command, args, { env, cwd, stdio: ['pipe', 'pipe', 'inherit'] });
    this.#child.stdin.on('error', () => {}); // it ended first; `exit` tells
    this.ended = new Promise((resolve) => {
      this.#child.on('error', (error) => this.#give_up(`cannot be started: ${error.message}`, resolve));
      this.#child.on('exit', (code, signal) => this.#give_up(`ended with ${signal ?? code}`, resolve));
    });
    readline.createInterface({ input: this.#child.stdout }).on('line', (line) => this.#receive(line));
  }

  #give_up(reason, resolve) {
    this.#over ??= new Error(`the server ${reason}`);
    for (const { reject } of this.#waiting.values()) reject(this.#over);
    this.#waiting.clear();
    resolve?.(this.#child.exitCode ?? -1);
  }

  #receive(line) {
    let message;
    try {
      message = JSON.parse(line);
    } catch {
      this.#give_up(`wrote what is no JSON: ${line.slice(0, 200)}`);
      return;
    }
    if (message.method && message.id !== undefined) this.#serve(message);
    else if (message.method) this.#notice(message);
    else this.#settle(message);
  }

  #notice(message) {
    this.notifications.push(message);
    this.#listeners.forEach((listener) => listener(message));
  }

  #settle({ id, result, error }) {
    const waiting = this.#waiting.get(id);
    if (!waiting) {
      this.#give_up(`answered ${id}, which nobody asked or which was answered before`);
      return;
    }
    this.#waiting.delete(id);
    if (error) waiting.reject(new Refused(waiting.method, error));
    else waiting.resolve(result);
  }

  async #serve({ id, method, params }) {
    const result = await this.#reply(method, params);
    const error = { code: METHOD_NOT_FOUND, message: `Method not found: ${method}` };
    this.send({ jsonrpc: '2.0', id, ...(result ? { result } : { error }) });
  }

  /** What a person who agrees to everything answers, and a model that always says the same. */
  async #reply(method, params) {
    if (method === 'ping') return {};
    this.asked.push({ method, params });
    const { meanwhile } = this;
    this.meanwhile = null;
    await meanwhile?.();
    switch (method) {
      case 'roots/list':
        return { roots: [{ uri: 'file:///work', name: 'work' }] };
      case 'sampling/createMessage':
        return { role: 'assistant', content: { type: 'text', text: 'sampled' }, model: 'none', stopReason: 'endTurn' };
      case 'elicitation/create':
        if (params.mode === 'url') {
          this.open(params.url);
          return { action: 'accept' };
        }
        return { action: 'accept', content: fill(params.requestedSchema) };
      default:
        return undefined;
    }
  }

  send(message) {
    this.#child.stdin.write(`${JSON.stringify(message)}\n`);
  }

  notify(method, params) {
    this.send({ jsonrpc: '2.0', method, ...(params && { params }) });
  }

  /** One request and its result, which may be `input_required`. */
  ask(method, params = {}) {
    const id = this.#next++;
    if (this.#over) return Promise.reject(this.#over);
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => {
        this.#waiting.delete(id);
        reject(new Error(`${method}: no answer within ${this.patience} ms`));
      }, this.patience);
      const done = (settle) => (value) => (clearTimeout(late), settle(value));
      this.#waiting.set(id, { method, resolve: done(resolve), reject: done(reject) });
      this.send({ jsonrpc: '2.0', id, method, params: this.era === MODERN ? stamped(params) : params });
    });
  }

  /** The same, answering what the server needs to know first (MRTR, SEP-2322). */
  async request(method, params = {}) {
    let result = await this.ask(method, params);
    for (let round = 0; result.resultType === 'input_required'; round++) {
      if (round === 8) throw new Error(`${method}: asks for input without end`);
      const inputResponses = {};
      for (const [name, wanted] of Object.entries(result.inputRequests ?? {})) {
        inputResponses[name] = await this.#reply(wanted.method, wanted.params);
      }
      const { requestState } = result;
      result = await this.ask(method, { ...params, inputResponses, ...(requestState !== undefined && { requestState }) });
    }
    return result;
  }

  /** `mode` is "legacy" or "dual". */
  async connect(mode) {
    if (mode === 'dual' && (await this.#discover())) return;
    this.era = LEGACY;
    this.server = await this.ask('initialize', {
      protocolVersion: LEGACY,
      capabilities: CAPABILITIES,
      clientInfo: CLIENT,
    });
    this.notify('notifications/initialized');
  }

  async #discover() {
    this.era = MODERN;
    for (const isLast of [false, true]) {
      try {
        this.server = await this.ask('server/discover');
        return this.server.supportedVersions?.includes(MODERN) ?? false;
      } catch (error) {
        if (!(error instanceof Refused)) throw error;
        const isMisunderstood = error.code === UNSUPPORTED_VERSION && error.data?.supported?.includes(MODERN);
        if (isLast || !isMisunderstood) return false;
      }
    }
  }

  /** All pages of a list: tools, prompts, resources. */
  async list(what) {
    const items = [];
    let cursor;
    do {
      const page = await this.request(`${what}/list`, cursor ? { cursor } : {});
      items.push(...page[what]);
      cursor = page.nextCursor;
    } while (cursor);
    return items;
  }

  /** Calls a tool; one that fails is an error here. */
  async call(name, args = {}) {
    const result = await this.request('tools/call', { name, arguments: args });
    if (result.isError) throw new Error(`${name}: ${result.content?.[0]?.text ?? 'failed'}`);
    return result;
  }

  /** The first notification of this method, also if it came already. */
  notified(method, patience = this.patience) {
    return new Promise((resolve, reject) => {
      const seen = this.notifications.find((message) => message.method === method);
      if (seen) return resolve(seen);
      const late = setTimeout(() => {
        this.#listeners.delete(listener);
        reject(new Error(`no ${method} within ${patience} ms`));
      }, patience);
      const listener = (message) => {
        if (message.method !== method) return;
        clearTimeout(late);
        this.#listeners.delete(listener);
        resolve(message);
      };
      this.#listeners.add(listener);
    });
  }

  /** Ends its stdin; it must end then. */
  async close(patience = 5_000) {
    this.#child.stdin.end();
    const late = setTimeout(() => this.kill(), patience);
    await this.ended;
    clearTimeout(late);
    if (this.#child.signalCode === 'SIGKILL') throw new Error(`the server outlived its stdin by ${patience} ms`);
  }

  kill() {
    this.#child.kill('SIGKILL');
  }
}

function stamped(params) {
  const prefix = 'io.modelcontextprotocol';
  const _meta = {
    [`${prefix}/protocolVersion`]: MODERN,
    [`${prefix}/clientInfo`]: CLIENT,
    [`${prefix}/clientCapabilities`]: CAPABILITIES,
  };
  return { ...params, _meta: { ...params._meta, ..._meta } };
}

/** Values for the members of an object's schema: the default where there is one, else anything that fits. */
export function fill(schema, names = Object.keys(schema?.properties ?? {})) {
  return Object.fromEntries(names.map((name) => [name, sample(schema.properties?.[name] ?? {})]));
}

function sample(schema) {
  const given = [schema.default, schema.const, schema.enum?.[0], schema.oneOf?.[0]?.const];
  const choice = given.find((value) => value !== undefined);
  if (choice !== undefined) return choice;
  switch ([schema.type].flat()[0]) {
    case 'boolean':
      return true;
    case 'integer':
    case 'number':
      return schema.minimum ?? 1;
    case 'array':
      return [];
    case 'object':
      return fill(schema, schema.required ?? []);
    default:
      return 'text';
  }
}
