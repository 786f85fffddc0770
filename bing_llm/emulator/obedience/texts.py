"""What the `Obedient` brain says where it has nothing of its own to say, in English and Russian."""

# ruff: noqa: RUF001 - these are Russian letters, not mistyped Latin ones

from __future__ import annotations

import msgspec

__all__ = ["ENGLISH", "RUSSIAN", "Texts"]


class Texts(msgspec.Struct, frozen=True):
    """The texts of one language.

    Placeholders: `question` is what the user said, `topic` what it is about, `language`, `code` and `text` a program,
    its language, and what it prints.
    """

    greeting: str
    plain: str
    code: str
    story: str
    list: str
    suggestions: tuple[str, str, str]


ENGLISH = Texts(
    greeting="Hello! I am the emulator of bing_llm, a program without a language model. Ask me something.",
    plain="""\
You asked: “{question}”

I am the emulator of bing_llm, a program without a language model, so I cannot know the answer. This text arrives in \
the same way as a real one would: word by word, and the same each time.""",
    code="""\
Here is a short example:

```{language}
{code}
```

It prints `{text}`. (Written by the emulator of bing_llm.)""",
    story="""\
## A short story about {topic}

Once there was a small program that knew nothing about {topic}. People asked it all the same, and it answered as \
well as it could:

- it said what it had been asked;
- it kept to the point;
- it **never** claimed to be more than it was.

In the end everybody knew a little more about {topic}, and the program was content.

*Told by the emulator of bing_llm.*""",
    list="""\
Here is a list about {topic}:

1. **Begin** with what you know about it.
2. **Collect** what you do not know.
3. **Ask** somebody who does.

(Written by the emulator of bing_llm.)""",
    suggestions=("Tell me more.", "Why does that matter?", "Show me an example."),
)

RUSSIAN = Texts(
    greeting="Привет! Я эмулятор bing_llm, программа без языковой модели. Спросите меня о чём-нибудь.",
    plain="""\
Вы спросили: «{question}»

Я эмулятор bing_llm, программа без языковой модели, поэтому ответа я не знаю. Этот текст приходит так же, как \
пришёл бы настоящий: слово за словом и каждый раз одинаково.""",
    code="""\
Вот короткий пример:

```{language}
{code}
```

Он выводит `{text}`. (Написал эмулятор bing_llm.)""",
    story="""\
## Короткий рассказ

Жила-была маленькая программа. Её попросили: «{question}» Она ничего об этом не знала, но ответила как могла:

- повторила, о чём её попросили;
- не отвлекалась;
- **никогда** не выдавала себя за другую.

И все остались довольны.

*Рассказал эмулятор bing_llm.*""",
    list="""\
Вот список по вашей просьбе: «{question}»

1. **Начните** с того, что знаете.
2. **Запишите**, чего не знаете.
3. **Спросите** того, кто знает.

(Написал эмулятор bing_llm.)""",
    suggestions=("Расскажи подробнее.", "Почему это важно?", "Покажи пример."),
)
