#!/usr/bin/env node
// The person at the browser: opens a URL in headless Chromium, signs in, agrees, types in the
// device code, and stops where a person would.
//
//   browser.mjs URL            (so it can stand in BROWSER, which authctl opens with the URL)
//
// From the environment:
//   PERSON          '{"login": "alice", "user_code": "BCDF-GHJK", "deny": false}'; these are the defaults,
//                   but for user_code, which must be given where the page asks for one; with
//                   "away": true the browser is on another machine, where nothing listens at the redirect_uri
//   PERSON_REPORT   file for the report, instead of stdout
//   CHROMIUM        the browser's path, instead of `chromium` on PATH
//
// The report is one JSON value: {"url", "title", "text"} of the last page, "visited" (the URLs of all pages,
// in order), "done" (pages that were acted on) and "unreachable" (the address that failed). Exit 1 when the person did not get to an end.

import { execFileSync } from 'node:child_process';
import { renameSync, writeFileSync } from 'node:fs';
import { chromium } from 'playwright-core';

const ARGUMENTS = [
  '--no-sandbox', // refused as root, and in most containers
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--disable-dev-shm-usage',
];
const LOOPBACK = 'MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost, EXCLUDE [::1]';
const DEADLINE = 60_000; // milliseconds for the whole visit

const person = { login: 'alice', password: 'correct horse', deny: false, ...JSON.parse(process.env.PERSON ?? '{}') };
const executablePath =
  process.env.CHROMIUM ?? execFileSync('sh', ['-c', 'command -v chromium'], { encoding: 'utf8' }).trim();

// What a person does on each page, by what is on it. Each ends the look at that page by a click.
const PAGES = [
  {
    name: 'login',
    shows: 'input[name=login]',
    async act(page) {
      if (person.deny) return page.click('a:has-text("Cancel")');
      await page.fill('input[name=login]', person.login);
      await page.fill('input[name=password]', person.password);
      await page.click('button[type=submit]');
    },
  },
  {
    name: 'consent',
    shows: 'input[name=prompt][value=consent]',
    act: (page) => page.click(person.deny ? 'a:has-text("Cancel")' : 'button[type=submit]'),
  },
  {
    name: 'device code',
    shows: 'form[id="op.deviceInputForm"]',
    async act(page) {
      if (!person.user_code) throw new Error('the page asks for a code and the person has none');
      await page.fill('input[name=user_code]', person.user_code);
      await page.click('button[type=submit]');
    },
  },
  {
    name: 'device confirmation',
    shows: 'form[id="op.deviceConfirmForm"]',
    act: (page) => page.click(person.deny ? 'button[name=abort]' : 'button[autofocus]'),
  },
];

// Which addresses this browser reaches: this machine's, or when away not the one that waits for the redirect.
function resolverRules() {
  if (!person.away) return LOOPBACK;
  const redirect = new URL(new URL(process.argv[2]).searchParams.get('redirect_uri'));
  return `MAP ${redirect.host} ~NOTFOUND`;
}

async function pageOf(page) {
  for (const known of PAGES) {
    if (await page.locator(known.shows).count()) return known;
  }
  return undefined;
}

// Acts on page after page until one comes that asks nothing of the person.
async function visit(page, url, report) {
  page.on('framenavigated', (frame) => {
    if (frame === page.mainFrame()) report.visited.push(frame.url());
  });
  page.on('requestfailed', (request) => {
    if (request.isNavigationRequest()) report.unreachable = request.url();
  });
  await page.goto(url);
  for (let known = await pageOf(page); known; known = await pageOf(page)) {
    if (report.done.includes(known.name)) throw new Error(`the ${known.name} page came twice`);
    report.done.push(known.name);
    const moved = page.waitForNavigation({ waitUntil: 'load' }).catch((error) => {
      if (!person.away) throw error; // the last page is not reached, and says so by itself
    });
    await known.act(page);
    await moved;
  }
}

async function settle(page, report) {
  await page.waitForLoadState('networkidle').catch(() => {});
  report.url = page.url();
  report.title = await page.title();
  report.text = (await page.locator('body').innerText()).trim();
}

const report = { done: [], visited: [] };
const args = [...ARGUMENTS, `--host-resolver-rules=${resolverRules()}`];
const browser = await chromium.launch({ executablePath, args, headless: true });
try {
  const page = await browser.newPage();
  page.setDefaultTimeout(DEADLINE);
  await visit(page, process.argv[2], report).catch((error) => {
    report.error = error.message;
    process.exitCode = 1;
  });
  await settle(page, report);
} finally {
  await browser.close();
}
const line = `${JSON.stringify(report)}\n`;
const file = process.env.PERSON_REPORT;
if (file) {
  writeFileSync(`${file}.new`, line);
  renameSync(`${file}.new`, file);
} else {
  process.stdout.write(line);
}
