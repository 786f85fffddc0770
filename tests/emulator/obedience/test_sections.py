"""The messages of a context."""

from __future__ import annotations

from bing_llm.emulator.obedience.sections import sections_of, told
from bing_llm.messages import convert

CONTEXT = convert(
    [
        {"role": "system", "content": "Be kind."},
        {"role": "Human", "content": "Hello [user](#not a header)"},
        {"role": "assistant", "content": "Hi."},
        {"role": "system", "content": "Be short."},
    ]
)


def test_messages_are_found_with_their_roles() -> None:
    """Each message has its role in small letters and its text; what stands before the first is kept apart."""
    before, sections = sections_of(f"Some text.\n{CONTEXT}")
    assert before == "Some text.\n"
    assert [section.role for section in sections] == ["system", "human", "assistant", "system"]
    assert [section.is_user for section in sections] == [False, True, False, False]
    assert sections[1].text == "Hello [user](#not a header)\n\n"
    assert "".join(section.whole for section in sections) == CONTEXT


def test_a_text_without_headers_has_no_messages() -> None:
    """It is all before the first one."""
    assert sections_of("Some text.") == ("Some text.", [])


def test_what_the_system_said_is_found() -> None:
    """Only its messages, in their order."""
    assert [text.strip() for text in told(CONTEXT)] == ["Be kind.", "Be short."]
    assert told("") == []
