"""The count of steps, over work whose growth is known."""

from __future__ import annotations

from tests.counting import steps


def test_linear_work_takes_linear_steps() -> None:
    """Each call and each character that is scanned counts once."""
    assert steps(lambda: [len("x") for _ in range(800)]) < 9 * steps(lambda: [len("x") for _ in range(100)])
    assert steps(lambda: ("x" * 800).find("y")) == 700 + steps(lambda: ("x" * 100).find("y"))


def test_a_text_that_is_scanned_again_and_again_is_seen() -> None:
    """Eight times the input are sixty-four times the steps where each part looks at all that came before."""

    def parse(length: int) -> None:
        seen = ""
        for _ in range(length):
            seen += "x"
            seen.find("y")

    assert steps(lambda: parse(800)) > 50 * steps(lambda: parse(100))
