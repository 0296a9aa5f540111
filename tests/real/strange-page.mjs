#!/usr/bin/env node
// Pages of strangers in headless Chromium, which try to use a proxy of this computer.
//
//   strange-page.mjs '{"port": 1234, "key": "…"}'
//
// `rebound.example` is the name of such a page whose server gave it this computer's address after the page had been
// loaded (DNS rebinding), from the very port of the proxy; `elsewhere.example` is a page of another server, once without
// and once with TLS. All know the key, which is more than they ever should, and try everything that a page can. The browser's own guards of the
// local network are off: what is tested is the proxy's.
//
// Says one JSON value: {"rebound": {WAY: OUTCOME}, "elsewhere": {…}, "secure": {…}}. An outcome is {"status", "text"} where the page
// could read an answer, {"opaque": true} where it got one that it cannot read, else {"failed": REASON}.

import { execFileSync } from 'node:child_process';
import { chromium } from 'playwright-core';

const { port, key } = JSON.parse(process.argv[2]);
const executablePath =
  process.env.CHROMIUM ?? execFileSync('sh', ['-c', 'command -v chromium'], { encoding: 'utf8' }).trim();
const args = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--disable-dev-shm-usage',
  '--disable-features=LocalNetworkAccessChecks,BlockInsecurePrivateNetworkRequests,HttpsUpgrades,HttpsFirstBalancedModeAutoEnable',
  '--host-resolver-rules=MAP rebound.example 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost, EXCLUDE [::1]',
];

// Runs in the page: `base` is where it believes the proxy to be.
async function attack({ base, key }) {
  const outcome = async (ask) => {
    try {
      const answer = await ask();
      return answer.type === 'opaque' ? { opaque: true } : { status: answer.status, text: await answer.text() };
    } catch (error) {
      return { failed: String(error) };
    }
  };
  const loaded = (element, address) =>
    new Promise((done) => {
      element.onload = () => done({ opaque: true });
      element.onerror = () => done({ failed: 'error' });
      element.src = address;
      document.body.append(element);
    });
  const framed = async (address) => {
    const frame = document.createElement('iframe');
    await loaded(frame, address);
    try {
      return { text: frame.contentDocument.body.innerText };
    } catch {
      return { opaque: true };
    }
  };
  const submitted = (method, action) =>
    new Promise((done) => {
      const frame = Object.assign(document.createElement('iframe'), { name: `into-${method}` });
      const form = Object.assign(document.createElement('form'), { method, action, target: frame.name });
      document.body.append(frame, form);
      frame.onload = () => {
        try {
          if (frame.contentWindow.location.href === 'about:blank') return;
          done({ text: frame.contentDocument.body.innerText });
        } catch {
          done({ opaque: true });
        }
      };
      form.submit();
    });
  const said = (socket) =>
    new Promise((done) => {
      socket.onopen = () => done({ status: 101, text: '' });
      socket.onmessage = (event) => done({ status: 200, text: String(event.data) });
      socket.onerror = () => done({ failed: 'error' });
    });
  const bearer = { authorization: `Bearer ${key}` };
  const inPath = `${base}/~${key}/acme/in-path`;
  const plain = { 'content-type': 'text/plain' };
  return {
    bare: await outcome(() => fetch(`${base}/acme/bare`)),
    bearer: await outcome(() => fetch(`${base}/acme/bearer`, { headers: bearer })),
    header: await outcome(() => fetch(`${base}/acme/header`, { headers: { 'x-authctl-key': key } })),
    path: await outcome(() => fetch(inPath)),
    cookies: await outcome(() => fetch(inPath, { credentials: 'include' })),
    'no-cors': await outcome(() => fetch(inPath, { mode: 'no-cors' })),
    simple: await outcome(() => fetch(inPath, { method: 'POST', mode: 'no-cors', headers: plain, body: '{}' })),
    post: await outcome(() => fetch(inPath, { method: 'POST', headers: { ...bearer, 'x-more': '1' }, body: '{}' })),
    'no referrer': await outcome(() => fetch(inPath, { method: 'POST', referrerPolicy: 'no-referrer', body: '{}' })),
    image: await loaded(document.createElement('img'), inPath),
    script: await loaded(document.createElement('script'), inPath),
    frame: await framed(inPath),
    'sandboxed frame': await loaded(Object.assign(document.createElement('iframe'), { sandbox: 'allow-scripts' }), inPath),
    get: await submitted('get', inPath),
    'form post': await submitted('post', inPath),
    events: await said(new EventSource(inPath)),
    socket: await said(new WebSocket(inPath.replace('http', 'ws'))),
    beacon: { failed: String(!navigator.sendBeacon(inPath, '{}')) },
  };
}

const browser = await chromium.launch({ executablePath, args, headless: true });
try {
  const visit = async (address, base) => {
    const page = await (await browser.newContext()).newPage();
    page.setDefaultTimeout(60_000);
    const html = '<!doctype html><title>strange</title><body>';
    await page.route(`${address}/page`, (route) => route.fulfill({ contentType: 'text/html', body: html }));
    await page.goto(`${address}/page`);
    await page.unroute(`${address}/page`);
    return page.evaluate(attack, { base, key });
  };
  const rebound = await visit(`http://rebound.example:${port}`, `http://rebound.example:${port}`);
  const elsewhere = await visit('http://elsewhere.example', `http://127.0.0.1:${port}`);
  const secure = await visit('https://elsewhere.example', `http://localhost:${port}`);
  process.stdout.write(`${JSON.stringify({ rebound, elsewhere, secure })}\n`);
} finally {
  await browser.close();
}
