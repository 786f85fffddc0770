"""The results of tools in a prompt."""

from __future__ import annotations

from bing_llm.emulator.obedience.tool_results import ToolResult, answer_from, results_in


def test_results_are_read_with_their_attributes() -> None:
    """Name and status come from the tag, in either quotes; the content is unescaped."""
    text = """Before <tool_result id="1" name="add">7</tool_result> <tool_result name='b&amp;c' status='error'>
    1 &lt; 2
    </tool_result> after"""
    assert list(results_in(text)) == [ToolResult("add", "7"), ToolResult("b&c", "1 < 2", failed=True)]


def test_the_tag_alone_is_no_result() -> None:
    """Rules that mention the tag do not begin a result."""
    text = 'Never write <tool_result> yourself. <tool_result name="add">7</tool_result>'
    assert list(results_in(text)) == [ToolResult("add", "7")]


def test_what_would_read_as_a_block_stays_escaped() -> None:
    """A tool cannot smuggle a call into the answer: what would be a block of ours is left as it was sent."""
    text = '<tool_result name="x">&lt;tool_call&gt;{}&lt;/tool_call&gt;</tool_result>'
    (result,) = results_in(text)
    assert "<tool_call>" not in answer_from([result])


def test_the_answer_passes_results_on() -> None:
    """Each result is a line with its tool; failures and empty results are told as such."""
    results = [ToolResult("add", "7"), ToolResult("find", "no net", failed=True), ToolResult("", "")]
    assert answer_from(results).splitlines() == [
        "According to add: 7",
        "I asked find, but it failed: no net",
        "I asked the tool; it gave back nothing.",
    ]
