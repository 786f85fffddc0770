"""Thousands of prompts: a file of rows in, the same rows with their answers out, nothing lost and nothing twice.

    bing_llm.batch.run("prompts.jsonl", "answers.jsonl", concurrency=4, rate=20)

Needs the extra `batch`.
"""
