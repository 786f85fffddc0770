"""A chat of several turns: LlamaIndex keeps the history, and sends it along with each message.

Needs `pip install ".[llama-index]"`.
"""

from llama_index.core.chat_engine import SimpleChatEngine
from llama_index.core.memory import ChatMemoryBuffer

from llama_index.llms.bing import Bing

with Bing(search=False) as llm:
    memory = ChatMemoryBuffer.from_defaults(llm=llm)
    chat = SimpleChatEngine.from_defaults(llm=llm, memory=memory, system_prompt="You are a patient teacher.")
    for message in ("My name is Ada.", "What is 17 * 23?", "What is my name?"):
        print(f"> {message}")
        print(chat.chat(message))
