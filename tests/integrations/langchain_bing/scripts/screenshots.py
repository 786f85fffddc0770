"""An MCP server over stdio: a tool that takes a screenshot, and one that adds; for `mcp_agent.py`."""

import base64

from mcp.server.fastmcp import FastMCP
from mcp.types import ImageContent, TextContent

PNG = b"\x89PNG\r\n\x1a\n" + bytes(8)

server = FastMCP("screenshots", log_level="ERROR")


@server.tool(structured_output=False)  # type: ignore[untyped-decorator]  # mcp is not here for mypy
def screenshot() -> list[TextContent | ImageContent]:
    """Take a picture of the screen."""
    picture = ImageContent(type="image", data=base64.b64encode(PNG).decode(), mimeType="image/png")
    return [TextContent(type="text", text="Taken."), picture]


@server.tool()  # type: ignore[untyped-decorator]  # as above
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


server.run("stdio")
