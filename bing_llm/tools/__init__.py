"""Tools and JSON answers for a service that knows only text.

What a prompt says about them (`prompt`), which calls a reply holds (`parser`), and the JSON of a reply (`json_answer`).
"""

from bing_llm.tools.calls import Call, Tool, Toolbox
from bing_llm.tools.prompt import FencedJson, Instructions, JsonFormat, ToolPrompt
from bing_llm.tools.signatures import render_tool

__all__ = ["Call", "FencedJson", "Instructions", "JsonFormat", "Tool", "ToolPrompt", "Toolbox", "render_tool"]
