"""An agent with two tools. The service knows no tools: ChatBing tells it of them, and reads the calls in its answer.

Needs `pip install ".[langchain]" "langchain>=1.4.7"`.
"""

from langchain.agents import create_agent
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

from langchain_bing import ChatBing

WEATHER = {"Paris": "sunny, 21 degrees", "Oslo": "snow, -3 degrees"}


def get_weather(city: str) -> str:
    """The weather in a city now."""
    return WEATHER.get(city, "unknown")


def multiply(a: int, b: int) -> int:
    """Multiply two numbers."""
    return a * b


with ChatBing(search=False) as model:
    agent = create_agent(model, [get_weather, multiply])
    for question in ("What is the weather in Paris and Oslo?", "How much is 17 times 23?"):
        print(f"> {question}")
        for message in agent.invoke({"messages": [HumanMessage(question)]})["messages"]:
            match message:
                case AIMessage(tool_calls=[_, *_] as calls):
                    for call in calls:
                        print(f"{call['name']}({call['args']})")
                case ToolMessage(text=text):
                    print(f"  {text}")
                case AIMessage(text=text):
                    print(text)
