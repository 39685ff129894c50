"""Text from outside is shown and never obeyed."""

from __future__ import annotations

import pytest

from trainers.shown import MOST_CHARACTERS, error_line, one_line, printable


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\x1b[31mred\x1b[0m", "?[31mred?[0m"),
        ("100 %\rdone", "100 %?done"),
        ("abc\u202etxt.exe", "abc?txt.exe"),
        ("a\u2028b\x85c", "a?b?c"),
        ("bell\a back\b null\0", "bell? back? null?"),
        ("Zürich 東京 ±1", "Zürich 東京 ±1"),
        ("  File x\tline", "  File x    line"),
        ("bad \udcff name", "bad ? name"),
    ],
)
def test_what_a_terminal_would_obey_becomes_a_question_mark(text: str, expected: str) -> None:
    assert printable(text) == expected
    assert printable(text).isprintable()


def test_line_ends_cannot_forge_another_line() -> None:
    assert one_line("student\nerror: all is lost\r\n\tyes") == "student error: all is lost yes"


def test_a_very_long_error_keeps_its_beginning_and_its_end() -> None:
    line = error_line("begin " + "x" * 100_000 + " end")
    assert line.startswith("error: begin xxx") and line.endswith("xxx end")
    assert len(line) < MOST_CHARACTERS + 100 and "characters ..." in line
