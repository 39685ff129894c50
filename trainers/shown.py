"""What came from outside, as text that a terminal shows and does not obey: the one place for every print.

Names of classes, labels, files, reasons of failures and logs may hold escape sequences, carriage returns or marks that
turn the direction of writing. Markup of rich is no matter of this file: such text is given to rich as `Text`.
"""

from __future__ import annotations

import argparse
from typing import NoReturn

MOST_CHARACTERS = 4_000
"""Of an error: what was given may be a book, and the reason must not be lost in it."""


def printable(text: str) -> str:
    """The text with a `?` in the place of everything that is no letter, digit, sign or blank; tabs become blanks."""
    return "".join(character if character.isprintable() else "?" for character in text.expandtabs(4))


def one_line(text: object) -> str:
    """`printable`, with every run of white space, line ends too, as one blank."""
    return printable(" ".join(str(text).split()))


def error_line(error: object) -> str:
    """What a command says on stderr before it ends: one line, the middle of a very long one left out."""
    line = f"error: {one_line(error)}"
    if len(line) <= MOST_CHARACTERS:
        return line
    half = MOST_CHARACTERS // 2
    return f"{line[:half]} [... {len(line) - 2 * half} characters ...] {line[-half:]}"


class Parser(argparse.ArgumentParser):
    """A parser of arguments whose errors are one line, as all others of a command are."""

    def error(self, message: str) -> NoReturn:
        """Exit code 2."""
        self.exit(2, f"{error_line(message)}; --help lists what there is\n")
