"""Several turns that the service remembers, from plain synchronous code."""

from bing_llm import SyncBingClient

with SyncBingClient(model="bing-creative") as bing:
    chat = bing.create_conversation()
    for prompt in ("My name is Ada.", "What is my name?", "Write a short list of names like mine."):
        reply = chat.ask(prompt)
        print(f"> {prompt}\n{reply.text}")
    if reply.quota is not None:
        print(f"{reply.quota.used} of {reply.quota.limit} turns used")
