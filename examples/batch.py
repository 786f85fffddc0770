"""A batch of prompts: rows in, the same rows with their answers out; run it twice, and the second run asks nothing.

Needs `pip install ".[batch]"`.
"""

import json
from pathlib import Path

from bing_llm import batch

ROWS: list[dict[str, object]] = [
    {"id": "sum", "prompt": "What is 17 * 23?", "topic": "numbers"},
    {"id": "word", "prompt": "Reply with the word tide.", "topic": "words"},
    {"id": "chat", "messages": [{"role": "user", "content": "What is 91 / 7?"}], "topic": "numbers"},
]
OUTPUT = Path("answers.jsonl")

summary = batch.run(ROWS, OUTPUT, concurrency=2, ordered=True)
print(f"{summary.answered} answered, {summary.failed} failed, {summary.earlier} done before; {summary.turns} turns")
for line in OUTPUT.read_text(encoding="utf-8").splitlines():
    row = json.loads(line)
    print(f"{row['id']} ({row['topic']}): {row['text'] if 'text' in row else row['error']['message']}")
