// A program with `ws`, which knows no proxy.
//
//   node websocket.mjs URL KEY_VARIABLE
//
// Prints {"sha256"} of what came back, over all messages, and waits for the end of its standard input.

import { createHash } from 'node:crypto';
import { once } from 'node:events';
import WebSocket from 'ws';

const [url, variable] = process.argv.slice(2);
const headers = { authorization: `Bearer ${process.env[variable]}` };
const bytes = Buffer.alloc(256 * 4096, Buffer.from(Array.from({ length: 256 }, (_, byte) => byte)));
const socket = new WebSocket(url.replace('http', 'ws'), { headers });
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
