#!/usr/bin/env node
// What the official conformance runner starts as its client: an MCP host that reaches the runner's server
// through a bridge on stdio, in a home of its own, and does what a host does in that scenario. Ends with 0 if
// everything was answered as a host may expect.
//
//   AUTHCTL_TEST_BINARY=… MCP_TEST_HOST=legacy|dual node conformance-client.mjs URL
//
// The runner sets MCP_CONFORMANCE_SCENARIO and MCP_CONFORMANCE_CONTEXT. MCP_TEST_BRIDGE=mcp-remote puts
// mcp-remote in the place of authctl, to see that it is this host that is right.

import { spawn } from 'node:child_process';
import { chmod, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Host, fill } from './host.mjs';

const here = import.meta.dirname;
const url = process.argv.at(-1);
const scenario = process.env.MCP_CONFORMANCE_SCENARIO ?? '';
const context = JSON.parse(process.env.MCP_CONFORMANCE_CONTEXT ?? '{}');
const mode = process.env.MCP_TEST_HOST ?? 'dual';

// The runner kills the client after 30 s; this one says before then what it waited for.
const DEADLINE = 27_000;
// The document of this address that the suite's authorization servers accept.
const CLIENT_METADATA_URL = 'https://conformance-test.local/client-metadata.json';

// ---------------------------------------------------------------- how authctl is told what a scenario knows

// Options of `authctl mcp`, and lines of its config.toml, for what the runner hands over in its context.
// `file(name, text)` is the path of a private file.
const AUTHCTL = {
  'auth/pre-registration': async (file) => ({
    options: ['--client-id', context.client_id, '--client-secret-file', await file('secret', context.client_secret)],
  }),
  'auth/client-credentials-basic': async (file) => ({
    options: [
      '--client-credentials',
      ...['--client-id', context.client_id],
      ...['--client-secret-file', await file('secret', context.client_secret)],
    ],
  }),
  'auth/client-credentials-jwt': async (file) => ({
    options: [
      '--client-credentials',
      ...['--client-id', context.client_id],
      ...['--client-key-file', await file('key.pem', context.private_key_pem)],
    ],
  }),
  // What the person's sign-in at the identity provider left is an ID token.
  'auth/enterprise-managed-authorization': async (file) => ({
    options: ['--client-id', context.client_id, '--client-secret-file', await file('secret', context.client_secret)],
    config: `
[provider.idp.oauth]
issuer = "${context.idp_issuer}"
token_endpoint = "${context.idp_token_endpoint}"
client_id = "${context.idp_client_id}"
authentication = "none"

[provider.conformance]
mcp_url = "${url}"

[provider.conformance.oauth]
grants = ["id_jag"]
identity_provider = "idp"
identity = { source = "file", path = "${await file('id-token', context.idp_id_token)}" }
`,
  }),
  'auth/wif-jwt-bearer': async (file) => ({
    config: `
[provider.conformance]
mcp_url = "${url}"

[provider.conformance.oauth]
grants = ["jwt_bearer"]
client_id = "${context.client_id}"
authentication = "none"
identity = { source = "file", path = "${await file('workload-token', context.valid_jwt)}" }
`,
  }),
  'auth/dpop': async () => ({ options: ['--dpop'] }),
  'auth/dpop-nonce': async () => ({ options: ['--dpop'] }),
};

// ------------------------------------------------------------------------------------------- the bridges

const BRIDGES = {
  async authctl(home) {
    const file = (name, text) => home.secret(name, text);
    const { options = [], config = '' } = (await AUTHCTL[scenario]?.(file)) ?? {};
    await home.write('home/.config/authctl/config.toml', config);
    const metadata = ['--client-metadata-url', CLIENT_METADATA_URL];
    return [process.env.AUTHCTL_TEST_BINARY, ['mcp', url, ...metadata, ...options]];
  },

  async 'mcp-remote'(home) {
    const { client_id, client_secret } = context;
    const known = client_secret && !context.idp_issuer ? [await home.secret('client', JSON.stringify({ client_id, client_secret }))] : [];
    const script = path.join(here, 'node_modules/mcp-remote/dist/proxy.js');
    const options = [
      ...['--protocol', 'auto', '--allow-http', '--client-metadata-url', CLIENT_METADATA_URL],
      ...known.flatMap((file) => ['--static-oauth-client-info', `@${file}`]),
      ...(scenario.startsWith('auth/client-credentials') ? ['--client-credentials'] : []),
    ];
    return [process.execPath, [script, url, ...options]];
  },
};

// --------------------------------------------------------------------------------- what a host does there

// Everything: lists all that the server has, and uses each of it once.
async function everything(host) {
  await tools(host);
  const { capabilities = {} } = host.server;
  if (capabilities.prompts) {
    for (const { name, arguments: known = [] } of await host.list('prompts')) {
      const given = known.filter(({ required }) => required).map((argument) => [argument.name, 'text']);
      await host.request('prompts/get', { name, arguments: Object.fromEntries(given) });
    }
  }
  if (capabilities.resources) {
    for (const { uri } of await host.list('resources')) await host.request('resources/read', { uri });
  }
}

// A host whose only tool is one to sign in with uses it, and looks again when it is told to.
async function tools(host) {
  let listed = await host.list('tools');
  if (listed.length === 1 && listed[0].name === 'authorize') {
    await host.call('authorize');
    await host.notified('notifications/tools/list_changed', 10_000);
    listed = await host.list('tools');
  }
  for (const { name, inputSchema } of listed) await host.call(name, fill(inputSchema, inputSchema.required ?? []));
}

const SCENARIOS = {
  'http-custom-headers': async (host) => {
    await host.list('tools');
    for (const call of context.toolCalls) await host.call(call.name, call.arguments);
  },
  // Its server knows no tools/call.
  'json-schema-ref-no-deref': (host) => host.list('tools'),
  'json-schema-2020-12-preservation': async (host) => {
    const observed = (await host.list('tools')).find(({ name }) => name === 'json_schema_2020_12_tool');
    await host.call('json_schema_echo', { schema: observed.inputSchema });
  },
  // Another call passes between a question and its answer.
  'sep-2322-client-request-state': async (host) => {
    host.meanwhile = () => host.call('test_mrtr_unrelated');
    await tools(host);
  },
};

// ------------------------------------------------------------------------------------------- a home of its own

async function makeHome() {
  const root = await mkdtemp(path.join(tmpdir(), 'conformance-'));
  const place = (name) => path.join(root, name);
  for (const name of ['home', 'run', 'locks', 'tmp', 'bin']) await mkdir(place(name), { mode: 0o700 });
  const browser = path.join(here, 'follow.mjs');
  for (const name of ['xdg-open', 'gio']) await symlink(browser, place(`bin/${name}`)); // mcp-remote's ways
  const write = async (name, text) => {
    await mkdir(path.dirname(place(name)), { recursive: true, mode: 0o700 });
    await writeFile(place(name), text, { mode: 0o600 });
    await chmod(place(name), 0o600);
    return place(name);
  };
  const env = {
    PATH: `${place('bin')}:${path.dirname(process.execPath)}:${process.env.PATH}`,
    HOME: place('home'),
    XDG_CONFIG_HOME: place('home/.config'),
    XDG_RUNTIME_DIR: place('run'),
    TMPDIR: place('tmp'),
    BROWSER: browser,
    AUTHCTL_STORE: 'file',
    AUTHCTL_LOCK_DIR: place('locks'),
    LANG: 'C.UTF-8',
  };
  return {
    env,
    browser,
    write,
    secret: (name, text) => write(`secrets/${name}`, text),
    remove: () => rm(root, { recursive: true, force: true, maxRetries: 5 }),
  };
}

async function main() {
  const home = await makeHome();
  const [command, args] = await BRIDGES[process.env.MCP_TEST_BRIDGE ?? 'authctl'](home);
  const open = (address) => spawn(home.browser, [address], { env: home.env, stdio: 'ignore' });
  const host = new Host(command, args, { env: home.env, cwd: home.env.HOME, open });
  const late = setTimeout(() => {
    console.error(`not done within ${DEADLINE} ms`);
    host.kill();
  }, DEADLINE);
  try {
    await host.connect(mode);
    await (SCENARIOS[scenario] ?? everything)(host);
    await host.close();
  } finally {
    clearTimeout(late);
    host.kill();
    await host.ended;
    await home.remove().catch(() => {}); // a browser may be writing there still
  }
}

main().catch((error) => {
  console.error(`${scenario}, ${mode} host: ${error.message}`);
  process.exitCode = 1;
});
