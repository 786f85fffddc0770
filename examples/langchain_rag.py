"""Answers from your own documents: those that fit the question go into the prompt, and are listed after it.

The retriever counts common words; where there is more to search, a vector store takes its place.

Needs `pip install ".[langchain]"`.
"""

import re

from langchain_core.documents import Document
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate

from langchain_bing import ChatBing

NOTES = [
    Document("My mooring is number 12 at the north quay.", metadata={"source": "boat.md"}),
    Document("My harbour permit is valid until the end of May.", metadata={"source": "papers.md"}),
    Document("The tide gauge at the north quay is read at 6:00.", metadata={"source": "tides.md"}),
]
PROMPT = ChatPromptTemplate.from_messages(
    [
        ("system", "Answer from the user's notes alone, and name the number of the note."),
        ("human", "Context:\n{notes}\n\nQuestion: {question}"),
    ]
)


def words(text: str) -> set[str]:
    return set(re.findall(r"\w{4,}", text.lower()))


def retrieve(question: str, most: int = 2) -> list[Document]:
    return sorted(NOTES, key=lambda note: -len(words(question) & words(note.page_content)))[:most]


with ChatBing(search=False) as model:
    chain = PROMPT | model | StrOutputParser()
    question = "What is my mooring?"
    found = list(enumerate(retrieve(question), 1))
    notes = "\n".join(f"[{number}] {note.page_content}" for number, note in found)
    print(chain.invoke({"notes": notes, "question": question}))
    for number, note in found:
        print(f"[{number}] {note.metadata['source']}: {note.page_content}")
