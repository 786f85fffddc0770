"""The same as `first_turn.py` with aiohttp alone, as a script of one's own would be."""

import asyncio
import json
import sys
import time

import aiohttp

_ASKED = '{"protocol":"json","version":1}\x1e{"type":4,"arguments":[],"invocationId":"0","target":"chat"}\x1e'


async def _main(url: str) -> None:
    async with aiohttp.ClientSession() as http:
        async with http.get(f"{url}/turing/conversation/create") as response:
            json.loads(await response.read())
        async with http.ws_connect(f"{url}/sydney/ChatHub") as socket:
            await socket.send_str(_ASKED)
            async for message in socket:
                for record in filter(None, message.data.split("\x1e")):
                    for arguments in json.loads(record).get("arguments", ()):
                        if arguments.get("messages"):
                            print(time.process_time())  # noqa: T201 - `benchmarks.turns` reads it
                            return


asyncio.run(_main(sys.argv[1]))
