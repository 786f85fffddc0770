"""Prompts that bring a text along."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llama_index.core.chat_engine import condense_plus_context, condense_question, context
from llama_index.core.extractors import metadata_extractors
from llama_index.core.prompts import chat_prompts, default_prompts

from bing_llm.emulator.obedience.documents import answer_about, answer_from_told

BOAT = "file_path: boat.md\npage: 1\n\nBoats need care. My mooring is number 12 at the north quay.\n\nIt is cheap."
QUESTION = "Where is my mooring?"
ANSWER = "My mooring is number 12 at the north quay."
KEPT = "At the quay.\n\nThere are two of them."
SAID = "user: I rowed to Paris with it.\nassistant: Where is that?\nuser: In France.\nassistant: I see."


def filled(template: Any) -> str:
    """A prompt of LlamaIndex as it reaches the service."""
    text = template if isinstance(template, str) else template.get_template()
    values = {
        "chat_history": SAID,
        "context_str": BOAT,
        "context_msg": BOAT,
        "existing_answer": KEPT,
        "keywords": 2,
        "max_keywords": 2,
        "num_questions": 2,
        "query_str": QUESTION,
        "question": "How big is it?",
        "text": BOAT,
    }
    return str(text.format(**values))


def in_messages(template: Any) -> str:
    """What the user says in a template of several messages."""
    messages = template.format_messages(
        context_str=BOAT, context_msg=BOAT, existing_answer=KEPT, query_str=QUESTION, context_messages=[]
    )
    return str(messages[-1].content)


@pytest.mark.parametrize(
    "prompt",
    [
        filled(default_prompts.DEFAULT_TEXT_QA_PROMPT),
        filled(default_prompts.DEFAULT_TREE_SUMMARIZE_PROMPT),
        in_messages(chat_prompts.CHAT_TEXT_QA_PROMPT),
        in_messages(chat_prompts.CHAT_TREE_SUMMARIZE_PROMPT),
        f"Use this to answer the question at the end.\n\n{BOAT}\n\nQuestion: {QUESTION}\nHelpful Answer:",
        f"Context: {BOAT}\n\nQuestion: {QUESTION}\nAnswer:",
    ],
)
def test_a_question_is_answered_from_the_text(prompt: str) -> None:
    """With the sentence that answers it."""
    assert answer_about(prompt, ()) == ANSWER


@pytest.mark.parametrize(
    "prompt",
    [
        filled(default_prompts.DEFAULT_REFINE_PROMPT),
        in_messages(chat_prompts.CHAT_REFINE_PROMPT),
        in_messages(chat_prompts.CHAT_CONTENT_REFINE_PROMPT),
        f"Previous answer: {KEPT}\n\nRewrite it if this helps:\n{BOAT}",
    ],
)
def test_an_answer_that_may_be_refined_is_kept(prompt: str) -> None:
    """Whole, as far as the words about refining."""
    assert answer_about(prompt, ()) == KEPT


@pytest.mark.parametrize(
    "rules", [condense_plus_context.DEFAULT_CONTEXT_REFINE_PROMPT_TEMPLATE, context.DEFAULT_REFINE_TEMPLATE]
)
def test_the_system_may_bring_the_answer_to_refine(rules: str) -> None:
    """So chat engines do, with the question in the message."""
    assert answer_about(QUESTION, ["Be kind.", filled(rules)]) == KEPT


@pytest.mark.parametrize(
    "prompt",
    [
        "Original answer: none was given.",
        "Refine the existing answer:",
        "Existing answer:\n-----\nRefine it.",
        "Answer: yes",
    ],
)
def test_other_words_bring_no_answer(prompt: str) -> None:
    """One that is spoken of only, or is not there, is not kept."""
    assert answer_about(prompt, ()) is None


@pytest.mark.parametrize(
    "prompt", [condense_plus_context.DEFAULT_CONDENSE_PROMPT_TEMPLATE, condense_question.DEFAULT_PROMPT]
)
def test_a_follow_up_gets_to_stand_alone(prompt: Any) -> None:
    """What the conversation was about takes the place of a pronoun."""
    assert answer_about(filled(prompt), ()) == "How big is France?"


def test_a_follow_up_may_stand_alone_already() -> None:
    """Without a pronoun, or something that it could stand for, it stays as it is."""
    prompt = "Chat:\n{}\nFollow Up Input: {}\nStandalone question:"
    assert answer_about(prompt.format(SAID, "How big are boats?"), ()) == "How big are boats?"
    assert answer_about(prompt.format("user: hi", "How big is it?"), ()) == "How big is it?"
    assert answer_about(prompt.format("Human: About Rome.", "What is its age?"), ()) == "What is Rome's age?"
    assert answer_about("I have a follow up question:", ()) is None


@pytest.mark.parametrize(
    ("prompt", "answer"),
    [
        (default_prompts.DEFAULT_SUMMARY_PROMPT, f"Boats need care. {ANSWER}"),
        (metadata_extractors.DEFAULT_SUMMARY_EXTRACT_TEMPLATE, f"Boats need care. {ANSWER}"),
        (metadata_extractors.DEFAULT_TITLE_NODE_TEMPLATE, "Boats need care"),
        (metadata_extractors.DEFAULT_TITLE_COMBINE_TEMPLATE, "Boats need care"),
        (metadata_extractors.DEFAULT_KEYWORD_EXTRACT_TEMPLATE, "Boats, need"),
        (default_prompts.DEFAULT_KEYWORD_EXTRACT_TEMPLATE, "KEYWORDS: Boats, need"),
        (
            metadata_extractors.DEFAULT_QUESTION_GEN_TMPL,
            "1. What does the text say about Boats?\n2. What does the text say about need?",
        ),
        ("Document:\n{context_str}\n\nSum it up in a line.\n\nSummary:", f"Boats need care. {ANSWER}"),
        ("{context_str}\n\nPropose three questions.\n\nQuestions:", "1. What does the text say about Boats?"),
    ],
)
def test_a_text_is_told_in_short(prompt: Any, answer: str) -> None:
    """A summary, a title, keywords and questions are of the text, and not of the words about them."""
    assert (answer_about(filled(prompt), ()) or "").startswith(answer)


@pytest.mark.parametrize(
    "prompt",
    [
        QUESTION,
        "What is 2 + 3? Answer:",
        "Give me three questions about boats.",
        "Title:",
        "Translate to French:\nSentence:",
        "Question: why?\nAnswer:",
        "",
    ],
)
def test_other_prompts_bring_no_text(prompt: str) -> None:
    """They are answered in another way."""
    assert answer_about(prompt, ["Be kind."]) is None


@pytest.mark.parametrize(
    "rules",
    [
        condense_plus_context.DEFAULT_CONTEXT_PROMPT_TEMPLATE,
        context.DEFAULT_CONTEXT_TEMPLATE,
        "Answer from the context.\n\nContext: {context_str}",
    ],
)
def test_a_question_is_answered_from_what_the_system_brought(rules: str) -> None:
    """So chat engines do."""
    told = [filled(rules), "Be kind."]
    assert answer_from_told(QUESTION, told) == ANSWER
    assert answer_from_told("Hello!", told) is None


@pytest.mark.parametrize("rules", ["Be kind.", "You know the context of jokes.", "Rules:\n-----\nBe kind.\n-----\n"])
def test_other_rules_bring_no_text(rules: str) -> None:
    """Nothing is said again of what the system only wants."""
    assert answer_from_told(QUESTION, [rules]) is None


PARTS = [
    "Context: ",
    "-----\n",
    "Query: ",
    "Answer:",
    "Title:",
    "existing answer: ",
    "refine\n",
    "\n\n",
    "Hi. ",
    "user: A\n",
]


@given(
    st.lists(st.sampled_from([*PARTS, "Standalone question:", "Keywords:", "Give 3 keywords", "<Follow Up Message>\n"]))
)
def test_any_prompt_is_taken(parts: list[str]) -> None:
    """No prompt makes it fail."""
    for answer in (answer_about("".join(parts), ["".join(parts)]), answer_from_told("Why?", ["".join(parts)])):
        assert answer != ""
