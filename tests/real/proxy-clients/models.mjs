// A program with the OpenAI or the Anthropic SDK, which reads key and address from its environment as every program
// with that SDK does.
//
//   node models.mjs openai|anthropic
//
// Prints {"answer", "streamed"} and waits for the end of its standard input.

import Anthropic from '@anthropic-ai/sdk';
import OpenAI from 'openai';

const messages = [{ role: 'user', content: 'Which fox?' }];

async function withOpenAI() {
  const { completions } = new OpenAI({ maxRetries: 0 }).chat;
  const answer = await completions.create({ model: 'fake', messages });
  const streamed = [];
  for await (const chunk of await completions.create({ model: 'fake', messages, stream: true })) {
    streamed.push(chunk.choices[0].delta.content);
  }
  return { answer: answer.choices[0].message.content, streamed };
}

async function withAnthropic() {
  const client = new Anthropic({ maxRetries: 0 });
  const ask = { model: 'fake', max_tokens: 9, messages };
  const answer = await client.messages.create(ask);
  const streamed = [];
  for await (const event of client.messages.stream(ask)) {
    if (event.type === 'content_block_delta') streamed.push(event.delta.text);
  }
  return { answer: answer.content[0].text, streamed };
}

const said = await { openai: withOpenAI, anthropic: withAnthropic }[process.argv[2]]();
console.log(JSON.stringify(said));
process.stdin.resume();
