"""A program with the OpenAI or the Anthropic SDK, which reads key and address from its environment as every program
with that SDK does.

    python models.py openai|anthropic

Prints {"answer", "streamed"} and waits for the end of its standard input.
"""

import json
import sys

ASK = [{"role": "user", "content": "Which fox?"}]


def main():
    answer, streamed = {"openai": with_openai, "anthropic": with_anthropic}[sys.argv[1]]()
    print(json.dumps({"answer": answer, "streamed": streamed}), flush=True)
    sys.stdin.read()


def with_openai():
    from openai import OpenAI

    complete = OpenAI(max_retries=0).chat.completions.create
    answer = complete(model="fake", messages=ASK).choices[0].message.content
    chunks = complete(model="fake", messages=ASK, stream=True)
    return answer, [chunk.choices[0].delta.content for chunk in chunks]


def with_anthropic():
    from anthropic import Anthropic

    messages = Anthropic(max_retries=0).messages
    answer = messages.create(model="fake", max_tokens=9, messages=ASK).content[0].text
    with messages.stream(model="fake", max_tokens=9, messages=ASK) as stream:
        return answer, list(stream.text_stream)


if __name__ == "__main__":
    main()
