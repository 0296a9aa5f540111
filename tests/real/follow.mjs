#!/usr/bin/env node
// A browser without a person, for BROWSER: opens the page and follows where it is sent (GET), without the
// second that Chromium takes to start. For authorization servers that agree by themselves. Where nobody
// listens yet it tries again, as a person does.
//
//   follow.mjs URL

import { setTimeout as wait } from 'node:timers/promises';

async function open(url) {
  for (let attempt = 0; ; attempt++) {
    try {
      return await fetch(url, { redirect: 'manual' });
    } catch (error) {
      if (attempt === 50) throw error;
      await wait(100);
    }
  }
}

let url = process.argv.at(-1);
for (let redirects = 0; url && redirects < 10; redirects++) {
  const location = (await open(url)).headers.get('location');
  url = location && new URL(location, url).href;
}
