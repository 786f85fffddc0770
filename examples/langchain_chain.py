"""A LangChain chain: a prompt template, the model and a parser, for one question and for several at once.

Needs `pip install ".[langchain]"`.
"""

from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate

from langchain_bing import ChatBing

prompt = ChatPromptTemplate.from_messages(
    [("system", "You are a patient teacher of {subject}."), ("human", "{question}")]
)

with ChatBing(search=False) as model:
    chain = prompt | model | StrOutputParser()
    print(chain.invoke({"subject": "mathematics", "question": "What is 17 * 23?"}))

    questions = ["What is 91 / 7?", "What is 12 + 30?", "What is 2.5 * 4?"]
    answers = chain.batch([{"subject": "mathematics", "question": question} for question in questions])
    for question, answer in zip(questions, answers, strict=True):
        print(f"{question} -> {answer}")
