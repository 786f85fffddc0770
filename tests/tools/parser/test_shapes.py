"""The shapes in which models were seen to write calls: what is read, what is asked again, and what is text."""

from __future__ import annotations

import json
from typing import Literal, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bing_llm.tools import blocks
from bing_llm.tools import parser as parser_module
from bing_llm.tools.calls import Call, InvalidCall, Piece, Tool, Toolbox
from bing_llm.tools.escape import escape
from bing_llm.tools.parser import CallParser
from tests.tools.parser.costs import steps_for

WEATHER = Tool(
    "get_weather",
    parameters={
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
        "required": ["city"],
    },
)
BOX = Toolbox(tools=(WEATHER, Tool("list-files")))
ARGUMENTS = '{"city": "Paris"}'
PARIS = f'{{"name": "get_weather", "arguments": {ARGUMENTS}}}'
CALL = Call("get_weather", {"city": "Paris"})
DAYS = Call("get_weather", {"city": "Paris", "days": 3})
FILES = Call("list-files")
F = "```"
SCHEMA = '{"type": "object", "properties": {"city": {"type": "string"}}}'


class Shape(NamedTuple):
    """A reply, what becomes of it, and why."""

    reply: str
    verdict: Literal["read", "asked again", "text"]
    why: str
    calls: tuple[Call, ...] = (CALL,)


def read(reply: str, why: str, *calls: Call) -> Shape:
    """A shape that can mean one thing."""
    return Shape(reply, "read", why, calls or (CALL,))


def again(reply: str, why: str) -> Shape:
    """A shape that is nearly a call."""
    return Shape(reply, "asked again", why, ())


def text(reply: str, why: str) -> Shape:
    """A shape that speaks of calls."""
    return Shape(reply, "text", why, ())


SHAPES: dict[str, Shape] = {
    # JSON, as it is asked for, and with other keys.
    "own tag": read(f"<tool_call>\n{PARIS}\n</tool_call>", "the form that is asked for; Hermes, Qwen 2.5"),
    "bare JSON": read(PARIS, "Qwen2.5-Coder: ollama/ollama#12174, google/adk-python#1648"),
    "a list": read(f"[{PARIS}]", "xLAM, Granite: their model cards"),
    "fenced JSON": read(f"{F}json\n{PARIS}\n{F}", "Qwen2.5-Coder: jundot/omlx#2565"),
    "fenced JSON after prose": read(f"I will look.\n\n{F}json\n{PARIS}\n{F}", "as above"),
    "fence that lacks a brace": read(f"{F}json\n{PARIS[:-1]}\n{F}", "who closed the fence meant to close the call"),
    "parameters": read(f'{{"name": "get_weather", "parameters": {ARGUMENTS}}}', "Llama 3.1 and 3.2"),
    "type and parameters": read(
        f'{{"type": "function", "name": "get_weather", "parameters": {ARGUMENTS}}}', "Llama 3.1 and 3.2"
    ),
    "action": read(f'{{"action": "get_weather", "action_input": {ARGUMENTS}}}', "LangChain's structured chat agent"),
    "fenced action": read(
        f'{F}json\n{{"action": "get_weather", "action_input": {ARGUMENTS}}}\n{F}', "LangChain's structured chat agent"
    ),
    "function_call": read(
        json.dumps({"function_call": {"name": "get_weather", "arguments": ARGUMENTS}}), "OpenAI's older form"
    ),
    "tool_calls": read(
        json.dumps({"tool_calls": [{"type": "function", "function": {"name": "get_weather", "arguments": ARGUMENTS}}]}),
        "OpenAI's form",
    ),
    "a whole message": read(
        json.dumps({"role": "assistant", "content": None, "tool_calls": [json.loads(PARIS)]}), "OpenAI's form"
    ),
    "tool_use": read(
        json.dumps({"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"city": "Paris"}}),
        "Claude's content block",
    ),
    "functions prefix": read(f'{{"name": "functions.get_weather", "arguments": {ARGUMENTS}}}', "OpenAI's models"),
    "parallel": read(
        json.dumps(
            {
                "tool_uses": [
                    {"recipient_name": "functions.get_weather", "parameters": {"city": "Paris"}},
                    {"recipient_name": "functions.list-files", "parameters": {}},
                ]
            }
        ),
        "OpenAI's multi_tool_use.parallel: prefect-archive/ControlFlow#107, Azure/azure-rest-api-specs#32329",
        CALL,
        FILES,
    ),
    "arguments beside the name": read('{"name": "get_weather", "city": "Paris"}', "small models, as the issue says"),
    "single quotes": read("{'name': 'get_weather', 'arguments': {'city': 'Paris'}}", "a dict of Python"),
    # Tags and tokens around JSON.
    **{
        f"<{tag}>": read(f"<{tag}>\n{PARIS}\n</{tag}>", "see the table FOREIGN_TAGS")
        for tag in (
            "tools",
            "function_call",
            "function_calls",
            "functioncall",
            "TOOLCALL",
            "tool_use",
            "tool",
            "tool_code",
        )
    },
    "<tools> after prose": read(f"Let me see.\n<tools>\n{PARIS}\n</tools>", "vllm-project/vllm#32931"),
    "<tools> with a list": read(f"<tools>[{PARIS}, {PARIS}]</tools>", "vllm-project/vllm#33083", CALL, CALL),
    "two <tools>": read(f"<tools>\n{PARIS}\n</tools>\n<tools>\n{PARIS}\n</tools>", "as above", CALL, CALL),
    "<tools> that lacks a brace": read(f"<tools>{PARIS[:-1]}</tools>", "who closed the tag meant to close the call"),
    "<tools> without an end": read(f"<tools>\n{PARIS}", "as with the own tag"),
    "<functioncall> with a string": read(
        f"<functioncall> {json.dumps({'name': 'get_weather', 'arguments': ARGUMENTS})}", "Glaive function calling v2"
    ),
    "name as an attribute": read(f'<tool_call name="get_weather">\n{ARGUMENTS}\n</tool_call>', "small models"),
    "<tool_use> with a name": read(f'<tool_use name="get_weather">{ARGUMENTS}</tool_use>', "small models"),
    "<tool_use> with elements": read(
        f"<tool_use>\n<name>get_weather</name>\n<input>{ARGUMENTS}</input>\n</tool_use>", "small models"
    ),
    "<tool_call> with elements": read(
        f"<tool_call>\n<name>get_weather</name>\n<arguments>{ARGUMENTS}</arguments>\n</tool_call>", "small models"
    ),
    "<tool_call> with child elements": read(
        "<tool_call><name>get_weather</name><arguments><city>Paris</city><days>3</days></arguments></tool_call>",
        "small models",
        DAYS,
    ),
    "[TOOL_CALLS]": read(f"[TOOL_CALLS] [{PARIS}]", "Mistral 7B v0.3: unslothai/unsloth#5704"),
    "[TOOL_CALLS] after prose": read(f"I will look.[TOOL_CALLS][{PARIS}]", "as above"),
    "[TOOL_CALLS] with a name": read(
        f"[TOOL_CALLS]get_weather{ARGUMENTS}", "Mistral Small 3.2: vllm-project/vllm#37081"
    ),
    "[ARGS]": read(f"[TOOL_CALLS]get_weather[ARGS]{ARGUMENTS}", "Magistral, Devstral: unslothai/unsloth#5704"),
    "[CALL_ID]": read(f"[TOOL_CALLS]get_weather[CALL_ID]a1b2c3d4e[ARGS]{ARGUMENTS}", "Mistral Small 3.1"),
    "[TOOL_REQUEST]": read(f"[TOOL_REQUEST]{PARIS}[END_TOOL_REQUEST]", "LM Studio's default format"),
    "python_tag": read(f"<|python_tag|>{PARIS}", "Llama 3.1"),
    "python_tag and code": read('<|python_tag|>get_weather(city="Paris", days=3)<|eom_id|>', "Llama 3.1", DAYS),
    "python_tag and a method": read(
        '<|python_tag|>get_weather.call(city="Paris", days=3)<|eom_id|>', "Llama 3.1", DAYS
    ),
    "python_tag and parameters": read(
        f'<|python_tag|>{{"type": "function", "name": "get_weather", "parameters": {ARGUMENTS}}}<|eot_id|>', "Llama 3.1"
    ),
    "<|tool_call|>": read(f"<|tool_call|>[{PARIS}]<|/tool_call|>", "Phi 4 mini, Granite 3.3"),
    "<|tool_call_start|>": read('<|tool_call_start|>[get_weather(city="Paris")]<|tool_call_end|>', "LFM 2"),
    "Kimi": read(
        "<|tool_calls_section_begin|><|tool_call_begin|>functions.get_weather:0<|tool_call_argument_begin|>"
        f"{ARGUMENTS}<|tool_call_end|><|tool_calls_section_end|>",
        "Kimi K2: vllm-project/vllm#31207",
    ),
    "Kimi without tokens inside": read(
        f"<|tool_call_begin|> functions.get_weather:0 {ARGUMENTS} <|tool_call_end|>", "Kimi K2: vllm-project/vllm#31207"
    ),
    "DeepSeek V3": read(
        "<\uff5ctool\u2581calls\u2581begin\uff5c><\uff5ctool\u2581call\u2581begin\uff5c>function<\uff5ctool\u2581sep\uff5c>"
        f"get_weather\n{F}json\n{ARGUMENTS}\n{F}<\uff5ctool\u2581call\u2581end\uff5c><\uff5ctool\u2581calls\u2581end\uff5c>",
        "DeepSeek V3 and R1: their chat templates",
    ),
    "DeepSeek V3.1": read(
        "<\uff5ctool\u2581calls\u2581begin\uff5c><\uff5ctool\u2581call\u2581begin\uff5c>get_weather<\uff5ctool\u2581sep\uff5c>"
        f"{ARGUMENTS}<\uff5ctool\u2581call\u2581end\uff5c><\uff5ctool\u2581calls\u2581end\uff5c>",
        "DeepSeek V3.1: its chat template",
    ),
    "Command A": read(
        f'<|START_ACTION|>[{{"tool_call_id": 0, "tool_name": "get_weather", "parameters": {ARGUMENTS}}}]<|END_ACTION|>',
        "Command A: its chat template",
    ),
    "Apertus": read(f'<|tools_prefix|>[{{"get_weather": {ARGUMENTS}}}]<|tools_suffix|>', "Apertus: its chat template"),
    "InternLM": read(f"<|action_start|><|plugin|>{PARIS}<|action_end|>", "InternLM 2.5: its chat template"),
    "harmony": read(
        f"<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>{ARGUMENTS}<|call|>",
        "gpt-oss: kekzl/imp#1719",
    ),
    "harmony after its analysis": read(
        "<|channel|>analysis<|message|>We need the weather.<|end|>"
        f"<|start|>assistant<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>{ARGUMENTS}",
        "gpt-oss: kekzl/imp#1719, lablup/mlxcel#658",
    ),
    "harmony with the recipient first": read(
        f"<|start|>assistant to=functions.get_weather<|channel|>commentary json<|message|>{ARGUMENTS}<|call|>",
        "gpt-oss: OpenAI's guide to harmony",
    ),
    # XML.
    "<function=name> with JSON": read(
        f"<function=get_weather>{ARGUMENTS}</function>", "Llama 3.1: Meta's prompt format"
    ),
    "<function=name> without an end": read(f"<function=get_weather>{ARGUMENTS}", "as above"),
    "Qwen3-Coder": read(
        "<tool_call>\n<function=get_weather>\n<parameter=city>\nParis\n</parameter>\n<parameter=days>\n3\n</parameter>\n"
        "</function>\n</tool_call>",
        "Qwen3-Coder: vllm-project/vllm#21571",
        DAYS,
    ),
    "Qwen3-Coder without its wrapper": read(
        "I will look.\n\n<function=get_weather>\n<parameter=city>\nParis\n</parameter>\n</function>\n</tool_call>",
        "Qwen3-Coder: anomalyco/opencode#26162",
    ),
    "Qwen3-Coder with closers missing": read(
        "<tool_call>\n<function=get_weather>\n<parameter=city>\nParis\n\n\n</tool_call>", "vllm-project/vllm#21571"
    ),
    "Seed": read(
        "<seed:tool_call>\n<function=get_weather>\n<parameter=city>Paris</parameter>\n</function>\n</seed:tool_call>",
        "Seed-OSS: its chat template",
    ),
    "<invoke>": read(
        '<invoke name="get_weather">\n<parameter name="city">Paris</parameter>\n</invoke>',
        "anthropics/claude-code#77061",
    ),
    "<function_calls>": read(
        'I will look.\n\n<function_calls>\n<invoke name="get_weather">\n<parameter name="city">Paris</parameter>\n'
        "</invoke>\n</function_calls>",
        "Claude",
    ),
    "MiniMax": read(
        '<minimax:tool_call>\n<invoke name="get_weather">\n<parameter name="city">Paris</parameter>\n'
        '<parameter name="days">3</parameter>\n</invoke>\n</minimax:tool_call>',
        "MiniMax M2: vllm-project/vllm#51073",
        DAYS,
    ),
    "two <invoke>": read(
        '<invoke name="get_weather"><parameter name="city">Paris</parameter></invoke>\n'
        '<invoke name="list-files"></invoke>',
        "parallel calls of Claude",
        CALL,
        FILES,
    ),
    "GLM": read(
        "<tool_call>get_weather\n<arg_key>city</arg_key>\n<arg_value>Paris</arg_value>\n<arg_key>days</arg_key>\n"
        "<arg_value>3</arg_value>\n</tool_call>",
        "GLM 4.5: its chat template",
        DAYS,
    ),
    "Olmo": read('<function_calls>\nget_weather(city="Paris")\n</function_calls>', "Olmo 3: its chat template"),
    "code in a tag": read('<tool_call>get_weather(city="Paris", days=3)</tool_call>', "small models", DAYS),
    "a dict in code in a tag": read(f"<tool_call>\nget_weather({ARGUMENTS})\n</tool_call>", "small models"),
    "name and JSON in a tag": read(f"<tool_call>\nget_weather\n{ARGUMENTS}\n</tool_call>", "small models"),
    "tool_code": read(f'{F}tool_code\nget_weather(city="Paris")\n{F}', "Gemma 3: Google's guide"),
    "tool_code that prints": read(f'{F}tool_code\nprint(default_api.get_weather(city="Paris"))\n{F}', "Gemini 2"),
    # Nearly a call.
    "prose around JSON": again(f"Sure!\n\n{PARIS}\n\nI will wait for the result.", "it may only be an example"),
    "prose before JSON": again(f"I will call the tool: {PARIS}", "it may only be an example"),
    "prose after JSON": again(f"{PARIS} is what I would call.", "it may only be an example"),
    "JSON in a sentence": again(f"You could call {PARIS} for this.", "it may only be an example"),
    "JSON in a code span": again(f"`{PARIS}`", "it may only be an example, but nothing else is there"),
    "a call and other JSON": again(f'[{PARIS}, {{"city": "x"}}]', "the other object would be lost"),
    "JSON in other JSON": again(f'{{"plan": [{PARIS}]}}', "nobody knows what the wrapper means"),
    "other keys": again('{"tool_to_use": "get_weather", "city": "Paris"}', "no key of the tables names the tool"),
    "the name as the key": again(f'{{"get_weather": {ARGUMENTS}}}', "it may be an answer by tool"),
    "thoughts beside it": again(
        f'{{"name": "get_weather", "arguments": {ARGUMENTS}, "thought": "so"}}', "the thought would be lost"
    ),
    "a name and no parameter": again('{"name": "list-files", "age": 7}', "the age would be lost"),
    "a name without arguments": again('{"name": "get_weather"}', "the city is missing"),
    "no last brace": again(PARIS[:-1], "it may have been cut off"),
    "no last brace after prose": again(f"I will call it.\n{PARIS[:-1]}", "it may have been cut off"),
    "cut off": again(PARIS[:-4], "it was cut off"),
    "cut off in a fence": again(f"{F}json\n{PARIS[:-4]}", "it was cut off"),
    "broken JSON": again(PARIS.replace('"city"', "city"), "the name has no quotes"),
    "broken JSON in a fence": again(f"{F}json\n{PARIS.replace(': {', ' {')}\n{F}", "a colon is missing"),
    "name and JSON on two lines": again(f"get_weather\n{ARGUMENTS}", "Mistral Nemo, GLM 4: no mark around it"),
    "name and JSON on one line": again(f"get_weather {ARGUMENTS}", "no mark around it"),
    "name in bold and JSON": again(f"**get_weather**\n\n{F}json\n{ARGUMENTS}\n{F}", "no mark around it"),
    "name in a sentence and JSON": again(f"I will call `get_weather` with:\n{ARGUMENTS}", "it may only be an example"),
    "the name in a fence before": again(f"{F}\nget_weather\n{F}\n{F}json\n{ARGUMENTS}\n{F}", "no mark around it"),
    "arguments in an attribute": again(
        """<function name="get_weather" arguments='{"city": "Paris"}'/>""", "the arguments would be lost"
    ),
    "parameters as attributes": again('<invoke name="get_weather" city="Paris"></invoke>', "the city would be lost"),
    "a thought first": again(
        f'{{"thought": "so", "action": "get_weather", "action_input": {ARGUMENTS}}}', "the thought would be lost"
    ),
    "Gemma 4": again('<|tool_call>call:get_weather{city:<|"|>Paris<|"|>}<tool_call|>', "a notation of its own"),
    "text between parameters": again(
        "<function=get_weather><parameter=city>Paris</parameter> and <parameter=days>3</parameter></function>",
        "the text would be lost",
    ),
    "the name as a fence's language": again(f"{F}get_weather\n{ARGUMENTS}\n{F}", "no mark around it"),
    "other arguments after the name": again('get_weather\n{"town": "Paris"}', "town is not a parameter"),
    "ReAct": again(f"Thought: I look.\nAction: get_weather\nAction Input: {ARGUMENTS}", "ReAct: QwenLM/Qwen3#197"),
    "ReAct with an observation": again(
        f"Action: get_weather\nAction Input: {ARGUMENTS}\nObservation: fine", "ReAct: vllm-project/vllm#3584"
    ),
    "Qwen-Agent": again(f"\u273fFUNCTION\u273f: get_weather\n\u273fARGS\u273f: {ARGUMENTS}", "Qwen-Agent"),
    "unknown control tokens": again(f"<|recipient|>get_weather<|content|>{ARGUMENTS}", "Functionary 2"),
    "to= without tokens": again(f"assistantcommentary to=functions.get_weather json{ARGUMENTS}", "gpt-oss"),
    "functools": again(f"functools[{PARIS}]", "Phi 3, Firefunction"),
    "an element": again("<get_weather>\n<city>Paris</city>\n</get_weather>", "Cline's and Roo's prompts"),
    "an element around JSON": again(f"<get_weather>{ARGUMENTS}</get_weather>", "small models"),
    "an element with attributes": again('<get_weather city="Paris"/>', "small models"),
    "code": again('get_weather(city="Paris")', "Llama 4, and small models"),
    "code in brackets": again('[get_weather(city="Paris"), list_files()]', "Llama 3.2 and 4"),
    "code on a line": again('I will look.\nget_weather(city="Paris")\n', "small models"),
    "code that is assigned in a fence": again(f'{F}python\nweather = get_weather("Paris")\n{F}', "small models"),
    "code in a fence": again(f'{F}python\nget_weather(city="Paris")\n{F}', "small models"),
    "code that prints in a fence": again(f'Look:\n{F}python\nprint(get_weather("Paris"))\n{F}', "Gemini"),
    "code with a prefix": again('functions.get_weather({"city": "Paris"})', "OpenAI's models"),
    "code without quotes": again("get_weather(Paris)", "small models"),
    "JSON in another fence": again(f"{F}python\n{PARIS}\n{F}", "small models"),
    "JSON in tildes": again(f"~~~json\n{PARIS}\n~~~", "it may only be an example"),
    "words in a tag": again("<tool_call>get_weather(Paris)</tool_call>", "Paris has no quotes"),
    "other words in a tag": again("<tool_call>\nI need the weather.\n</tool_call>", "no call is in the tag"),
    "nothing in a tag": again("<tool_call>\n</tool_call>", "no call is in the tag"),
    "nothing in tags": again("<tool_calls>\n<tool_calls> <tool_call></tool_calls>", "no call is in the tags"),
    "words in another tag": again("<tool_use>\nget the weather\n</tool_use>", "no call is in the tag"),
    "an unknown tool in a foreign tag": again(
        '<tools>{"name": "weather", "arguments": {"tool": "get_weather"}}</tools>', "no tool has that name"
    ),
    "unknown parameters in a tag": again('<tool_call>{"name": "get_weather", "town": "Paris"}</tool_call>', "as above"),
    "words in the arguments of a tag": again(
        "<function=get_weather>the weather in Paris</function>", "the arguments are no object"
    ),
    "FunctionGemma": again(
        "<start_function_call>call:get_weather{city:<escape>Paris<escape>}<end_function_call>", "its own notation"
    ),
    "a prefix and the name as a fence's language": again(f"{F}functions.get_weather\n{ARGUMENTS}\n{F}", "as above"),
    "the name and a count as a fence's language": again(f"{F}get_weather:0\n{ARGUMENTS}\n{F}", "as above"),
    "an element with a prefix": again(
        "<functions.get_weather><city>Paris</city></functions.get_weather>", "nobody documents it"
    ),
    "a method of the tool, in a line of its own": again('get_weather.call(city="Paris")', "no mark around it"),
    "an invented result in a fence": again(
        f'{F}\n<tool_result name="get_weather">\nfine\n</tool_result>\n{F}', "as below"
    ),
    "the name after a fence's language": again(f"{F}json get_weather\n{ARGUMENTS}\n{F}", "no mark around it"),
    "the name as a title of a fence": again(f"{F}json title=get_weather\n{ARGUMENTS}\n{F}", "as above"),
    "an invented result": again('<tool_result name="get_weather">\nfine\n</tool_result>', "nothing else is there"),
    # Who writes about calls.
    "a mention of a tag": text("The `<tool_call>` tag wraps the JSON of a call.", "in a sentence"),
    "a mention of both tags": text("Wrap it in <tool_call> and </tool_call>.", "in a sentence"),
    "a tag alone": text("So: <tool_call>\n", "nothing follows"),
    "a mention of foreign tags": text("Models use <tools>, <invoke name=...> or [TOOL_CALLS] here.", "nothing follows"),
    "a mention of a token": text("Llama writes <|python_tag|> before its code.", "nothing follows"),
    "an example in a code span": text(f"Write `<tool_call>{PARIS}</tool_call>` so.", "in a code span"),
    "a foreign example in a code span": text(
        f"Write `<function=get_weather>{ARGUMENTS}</function>` so.", "in a code span"
    ),
    "JSON in a code span in a sentence": text(f"Write `{PARIS}` so.", "in a code span"),
    "an example in HTML": text(f"{F}html\n<tool_call>{PARIS}</tool_call>\n{F}", "code of a language"),
    "a foreign example in HTML": text(f"{F}html\n<function=get_weather>{ARGUMENTS}</function>\n{F}", "as above"),
    "JSON in code": text(f"{F}python\nimport json\nprint({PARIS})\n{F}", "code that does something else"),
    "a function of that name": text(f"{F}python\ndef get_weather(city: str) -> str:\n    return city\n{F}", "code"),
    "code that uses it": text(
        f"{F}python\nweather = get_weather('Paris')\nif weather:\n    print(weather)\n{F}", "code"
    ),
    "a signature": text("get_weather(city: str, days: int)", "it shows the parameters"),
    "the parameters": text("You can use:\nget_weather(city, days)", "it shows the parameters"),
    "the name": text("I used get_weather for this.", "a word"),
    "the name first": text("get_weather is a tool, and (as it says) gets the weather.", "a word"),
    "the name and a result": text('get_weather says {"temperature": 20, "sky": "clear"}.', "not its arguments"),
    "the name with brackets in a sentence": text('I called get_weather("Paris") and it was fine.', "in a sentence"),
    "other JSON": text('{"city": "Paris", "temperature": 20}', "no tool is named"),
    "an answer with the word": text('{"answer": "I used get_weather."}', "a word in a text"),
    "other JSON in a fence": text(f'{F}json\n{{"city": "Paris"}}\n{F}', "no tool is named"),
    "an unknown tool": text('{"name": "send_mail", "arguments": {}}', "nobody offered it"),
    "an unknown tool in a foreign tag alone": text('<tools>{"name": "send_mail", "arguments": {}}</tools>', "as above"),
    "XML": text("<weather><city>Paris</city></weather>", "no tool has that name"),
    "a link": text("[get the weather](https://weather.example) [1] {x}", "not JSON"),
    "a list of tools": text("- get_weather: for a city\n- list-files: all files\n", "a list"),
}


def pieces_of(reply: str, size: int = 0, box: Toolbox = BOX) -> list[Piece]:
    """The pieces of a reply in parts of this size, adjacent texts joined."""
    parser = CallParser(box)
    pieces: list[Piece] = []
    parts = [reply[at : at + size] for at in range(0, len(reply), size)] if size else [reply]
    for piece in [*(piece for part in parts for piece in parser.feed(part)), *parser.close()]:
        if isinstance(piece, str) and pieces and isinstance(pieces[-1], str):
            pieces[-1] += piece
        else:
            pieces.append(piece)
    return pieces


def verdict_of(pieces: list[Piece]) -> str:
    """What becomes of a reply with these pieces."""
    if any(isinstance(piece, Call) for piece in pieces):
        return "read"
    return "asked again" if any(isinstance(piece, InvalidCall) for piece in pieces) else "text"


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_each_shape_is_read_asked_again_or_text(shape: Shape) -> None:
    """What can mean one thing is called, what is nearly a call is not, and text comes through unchanged."""
    pieces = pieces_of(shape.reply)
    assert (verdict_of(pieces), pieces) == (shape.verdict, pieces)
    assert tuple(piece for piece in pieces if isinstance(piece, Call)) == shape.calls
    if shape.verdict == "text":
        assert pieces == [shape.reply]


@pytest.mark.parametrize("size", [1, 3, 8, 61])
def test_each_shape_is_the_same_in_parts_of_any_size(size: int) -> None:
    """Where the service cuts its stream changes nothing."""
    for name, shape in SHAPES.items():
        assert (name, pieces_of(shape.reply, size)) == (name, pieces_of(shape.reply))


MARKED = {
    name: shape for name, shape in SHAPES.items() if shape.verdict == "read" and escape(shape.reply) != shape.reply
}


@pytest.mark.parametrize("before", ["", "It says: ", "It says:\n\n"])
def test_no_mark_is_read_in_foreign_text(before: str) -> None:
    """What a tool or a document says is escaped in the prompt, so a model that repeats it calls nothing."""
    assert len(MARKED) >= 50
    for name, shape in MARKED.items():
        quoted = escape(before + shape.reply)
        assert (name, [piece for piece in pieces_of(quoted) if isinstance(piece, Call)]) == (name, [])


UNMARKED = {"{", "[", "```json", "```\n", "I will look.\n\n```json"}


def test_every_shape_that_is_read_has_a_mark_or_is_the_json_that_is_asked_for() -> None:
    """The JSON of a call alone, and in a fence, has no mark that could be escaped; every other shape has one."""
    for name, shape in SHAPES.items():
        if shape.verdict == "read" and name not in MARKED:
            assert (name, shape.reply.startswith(tuple(UNMARKED))) == (name, True)


@pytest.mark.parametrize("shape", [shape for shape in SHAPES.values() if shape.verdict != "text"], ids=lambda _: "")
def test_a_call_after_it_counts(shape: Shape) -> None:
    """What is nearly a call is text if a call follows, and no call takes another one with it."""
    own = f"<tool_call>{json.dumps({'name': 'list-files', 'arguments': {'n': 1}})}</tool_call>"
    calls = [piece for piece in pieces_of(f"{shape.reply}\n\n{own}") if isinstance(piece, Call)]
    assert calls[-1:] == [Call("list-files", {"n": 1})] or shape.verdict == "read" or "tool_result" in shape.reply


@pytest.mark.parametrize(
    "shape", [shape for shape in SHAPES.values() if shape.verdict == "asked again"], ids=lambda _: ""
)
def test_the_reason_is_a_sentence_about_the_fault(shape: Shape) -> None:
    """It is what the model is sent, so it is short, ends with a full stop, and names the tool where that is known."""
    invalid = next(piece for piece in pieces_of(shape.reply) if isinstance(piece, InvalidCall))
    assert invalid.reason.endswith(".")
    assert len(invalid.reason) < 300
    assert invalid.text in shape.reply


def test_what_is_nearly_a_call_is_not_given_as_text() -> None:
    """The prose before it is, at once; from there on all waits for the end of the reply."""
    parser = CallParser(BOX)
    assert parser.feed("Sure! ") == ["Sure!"]
    assert parser.feed(f"{PARIS}\n\nI will") == []
    assert parser.feed(" wait.") == []
    (invalid,) = parser.close()
    assert isinstance(invalid, InvalidCall)
    assert invalid.text == f" {PARIS}\n\nI will wait."


PROSE = (
    "The weather in **Paris** is fine: 20 degrees, [1] says [the office](https://weather.example).\n\n"
    "- get an umbrella (if it rains)\n- use `get_weather`, or <b>look</b> outside\n\nSet {x | x < 3}; f(x) = {}.\n"
)


def test_ordinary_prose_is_not_held_back() -> None:
    """After each character at most the last word, with the whitespace before it, waits for more."""
    parser = CallParser(BOX)
    given = 0
    for at, character in enumerate(PROSE, 1):
        given += sum(len(piece) for piece in parser.feed(character) if isinstance(piece, str))
        assert at - given <= 20


SNIPPETS = st.sampled_from(
    [
        *(
            "<tools>",
            "</tools>",
            "<function=get_weather>",
            "</function>",
            "<parameter=city>",
            "</parameter>",
            "[TOOL_CALLS]",
        ),
        *('<invoke name="get_weather">', "<|python_tag|>", "<|tool_call|>", "<|channel|>commentary to=", "functions."),
        *(
            "get_weather",
            "get_",
            "(",
            ")",
            "(city='x')",
            "<get_weather",
            ">",
            "/>",
            "</get_weather>",
            "<tool_call>",
            "x",
        ),
        *(
            "</tool_call>",
            "\n",
            "\n\n",
            " ",
            "`",
            "```",
            "```json\n",
            "```python\n",
            "\n```\n",
            PARIS,
            ARGUMENTS,
            "{",
            "}",
        ),
        *(
            '{"name": ',
            '"get_weather"',
            "[",
            "]",
            '"',
            "'",
            ",",
            "Action: ",
            '{"a": ',
            "print(",
            "list-files",
            "&lt;",
            "<",
        ),
        *("<tool_result name=", "<tool_call>{", "<function=", "<name>", "json", "to=", "text", "<arg_key>", "\\", "{}"),
    ],
)


@given(st.lists(SNIPPETS, max_size=10).map("".join), st.lists(st.integers(1, 9), min_size=1))
def test_the_pieces_are_the_same_however_the_reply_is_cut(reply: str, sizes: list[int]) -> None:
    """Any mixture of marks gives pieces and no error, and the same ones in any parts."""
    parser = CallParser(BOX)
    pieces: list[Piece] = []
    position = count = 0
    while position < len(reply):
        size = sizes[count % len(sizes)]
        pieces += parser.feed(reply[position : position + size])
        position, count = position + size, count + 1
    joined: list[Piece] = []
    for piece in [*pieces, *parser.close()]:
        if isinstance(piece, str) and joined and isinstance(joined[-1], str):
            joined[-1] += piece
        else:
            joined.append(piece)
    assert joined == pieces_of(reply)


@given(st.lists(SNIPPETS.filter(lambda part: "tool_result" not in part), max_size=10).map("".join))
def test_nothing_of_a_reply_without_calls_is_lost(reply: str) -> None:
    """The texts, and what would have to be asked again, are the whole reply."""
    pieces = pieces_of(reply)
    if not any(isinstance(piece, Call) for piece in pieces):
        whole = "".join(
            piece if isinstance(piece, str) else piece.text for piece in pieces if not isinstance(piece, Call)
        )
        assert "".join(whole.split()) == "".join(reply.split())


VALUES = st.text("ab \n<>/{}'\"", max_size=8)


@given(VALUES, st.integers())
def test_every_notation_keeps_all_arguments(city: str, days: int) -> None:
    """Whatever the value of a parameter is, it is in the call, or the call is not made."""
    days_element = f'<parameter name="days">{days}</parameter>'
    glm = f"<arg_key>days</arg_key><arg_value>{days}</arg_value>"
    written = [
        f"<tools>{json.dumps({'name': 'get_weather', 'city': city, 'days': days})}</tools>",
        f"<function=get_weather><parameter=city>{city}</parameter><parameter=days>{days}</parameter></function>",
        f'<invoke name="get_weather"><parameter name="city">{city}</parameter>{days_element}</invoke>',
        f"[TOOL_CALLS]get_weather{json.dumps({'city': city, 'days': days})}",
        f"<tool_call>get_weather(city={json.dumps(city)}, days={days})</tool_call>",
        f"<tool_call>get_weather<arg_key>city</arg_key><arg_value>{city}</arg_value>{glm}</tool_call>",
    ]
    for reply in written:
        for call in (piece for piece in pieces_of(reply) if isinstance(piece, Call)):
            assert (reply, set(call.arguments)) == (reply, {"city", "days"})
            assert call.arguments["days"] == days


HOSTILE = [
    *("<tools>", "<tools>{", "<function=get_weather>", "<function=", '<invoke name="get_weather">{', "<|python_tag|>"),
    *(
        "[TOOL_CALLS]",
        "[TOOL_CALLS]get_weather{",
        "<get_weather>",
        "<get_weather x",
        "\nget_weather(",
        "\nget_weather('",
    ),
    *('{"name": "get_weather", ', '{"a": {"name": ', "[{", "`{", '{"get_weather": {', "get_weather {", "<tool_use>\n"),
    *(
        "\n<tool_call>\nx",
        "```get_weather\n{",
        "```python\nget_weather(",
        "<arg_key>",
        "<parameter=city>",
        "to=functions.",
    ),
    *(
        "<|channel|>commentary to=get_weather{",
        "get_weather\n{}",
        "\nAction: get_weather\n",
        "&lt;{",
        "<name>",
        "[get_weather(",
    ),
]


@pytest.mark.parametrize("size", [16, 1_000_000])
@pytest.mark.parametrize(
    "part", [pytest.param(part, marks=() if at % 9 == 0 else pytest.mark.system) for at, part in enumerate(HOSTILE)]
)
def test_hostile_replies_take_linear_steps(part: str, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight times the text takes about eight times the steps, in parts of any size.

    Both texts are longer than what is held back because it may be nearly a call.
    """
    for module in (blocks, parser_module):
        monkeypatch.setattr(module, "MAX_CANDIDATE_CHARACTERS", 500)
    assert steps_for(BOX, part, 32_000, size) < 12 * steps_for(BOX, part, 4_000, size)
