"""The command `llm` and its library over the front: a prompt, a stream, a schema, a tool, a conversation."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import llm


def configure(base_url: str, key: str, folder: Path) -> None:
    """Write the list of OpenAI-compatible models and the keys, as the documentation of `llm` says."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "keys.json").write_text(json.dumps({"front": key}), encoding="utf-8")
    (folder / "extra-openai-models.yaml").write_text(
        "- model_id: copilot\n"
        "  model_name: bing-balanced\n"
        f"  api_base: {base_url}\n"
        "  api_key_name: front\n"
        "  supports_schema: true\n"
        "  supports_tools: true\n",
        encoding="utf-8",
    )


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def main(base_url: str, key: str) -> None:
    """Ask in each way."""
    configure(base_url, key, llm.user_dir())
    model: Any = llm.get_model("copilot")
    streamed = list(model.prompt("What is new in Python?"))
    schema = {"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer"}}}
    person = model.prompt('Her name is "Ada" and her age is 36.', schema={**schema, "required": ["name", "age"]})
    conversation = model.conversation()
    chain = conversation.chain("What is 2 + 3? Use add.", tools=[add])
    shown = {
        "answer": model.prompt("What is 6 * 7?", stream=False).text(),
        "pieces": len(streamed) > 1,
        "streamed": "".join(streamed),
        "person": json.loads(person.text()),
        "chain": chain.text().strip(),
        "follow_up": conversation.prompt("What is 6 * 7?").text(),
    }
    json.dump(shown, sys.stdout)


main(*sys.argv[1:])
