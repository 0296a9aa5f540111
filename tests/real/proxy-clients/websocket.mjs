// A program with `ws`, which leaves the way through a proxy to its user: wss: goes by HTTPS_PROXY, ws: goes directly.
//
//   node websocket.mjs URL KEY_VARIABLE
//
// Prints {"sha256"} of what came back, over all messages, and waits for the end of its standard input.

import { createHash } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import tls from 'node:tls';
import WebSocket from 'ws';

/** A connection to the host of `url` by way of the proxy, with TLS inside. */
async function tunnel({ hostname, port }) {
  const proxy = new URL(process.env.HTTPS_PROXY);
  const key = Buffer.from([proxy.username, proxy.password].map(decodeURIComponent).join(':')).toString('base64');
  const headers = { 'proxy-authorization': `Basic ${key}` };
  const place = { host: proxy.hostname, port: proxy.port, agent: false };
  const request = http.request({ ...place, method: 'CONNECT', path: `${hostname}:${port || 443}`, headers }).end();
  const [{ statusCode }, socket] = await once(request, 'connect');
  if (statusCode !== 200) throw new Error(`the proxy answered ${statusCode}`);
  return tls.connect({ socket, servername: hostname, ALPNProtocols: ['http/1.1'] });
}

const [url, variable] = process.argv.slice(2);
const headers = { authorization: `Bearer ${process.env[variable]}` };
const bytes = Buffer.alloc(256 * 4096, Buffer.from(Array.from({ length: 256 }, (_, byte) => byte)));
const connection = url.startsWith('https:') ? await tunnel(new URL(url)) : undefined;
const further = connection && { createConnection: () => connection };
const socket = new WebSocket(url.replace('http', 'ws'), { headers, ...further });
await once(socket, 'open');
const digest = createHash('sha256');
for (const message of ['hello', bytes, '']) {
  socket.send(message);
  const [data] = await once(socket, 'message');
  digest.update(data);
}
socket.close();
await once(socket, 'close');
console.log(JSON.stringify({ sha256: digest.digest('hex') }));
process.stdin.resume();
