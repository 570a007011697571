"""Printing for people: headings, tables and code; in colour on a terminal, plain text elsewhere."""

from __future__ import annotations

import os
import re
import shutil
import sys
from typing import TextIO

BOLD, DIM, BLUE, GREEN, CYAN, PLAIN = "\x1b[1m", "\x1b[2m", "\x1b[34m", "\x1b[32m", "\x1b[36m", "\x1b[0m"
_TOKENS = re.compile(
    r"(?P<comment>#[^\n]*)"
    r"|(?P<string>'[^'\n]*'|\"[^\"\n]*\")"
    r"|(?P<word>\b(?:def|return|for|in|while|if|else|elif|import|from|as|assert|not|and|or|break|raise)\b)"
    r"|(?P<type>\b(?:[fiu](?:8|16|32|64)|bool)\b(?:\[[^\]\n]*\])?)"
)
_COLOURS = {"comment": DIM, "string": GREEN, "word": BLUE, "type": CYAN}


def is_terminal(stream: TextIO) -> bool:
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def in_colour(stream: TextIO) -> bool:
    """On a terminal, unless NO_COLOR is set."""
    return is_terminal(stream) and not os.environ.get("NO_COLOR")


def coloured(code: str) -> str:
    """Python or IR in a terminal's colours."""
    return _TOKENS.sub(lambda m: _COLOURS[m.lastgroup or "word"] + m.group() + PLAIN, code)


class Page:
    """Prints sections; in colour on a terminal, without anything but text elsewhere."""

    def __init__(self) -> None:
        stream = sys.stdout
        self.terminal = is_terminal(stream)
        self.colour = in_colour(stream)
        self.width = max(60, min(120, shutil.get_terminal_size((100, 24)).columns))
        self.section = 0
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal without µ prints ? and goes on

    def paint(self, text: str, *colours: str) -> str:
        return "".join(colours) + text + PLAIN if self.colour and text else text

    def title(self, name: str, text: str) -> None:
        print(f"\n{self.paint(name, BOLD)}  {text}\n")

    def heading(self, title: str, note: str = "") -> None:
        self.section += 1
        print(f"\n\n{self.paint(f'{self.section}  {title}', BOLD)}")
        if note:
            print(f"   {self.paint(note, DIM)}")
        print()

    def text(self, text: str) -> None:
        """A paragraph, wrapped; a number stays with its unit."""
        line = "  "
        for word in re.split(r" (?!(?:s|ms|µs)\b)", text):
            if len(line) + 1 + len(word) > min(self.width, 100):
                print(line)
                line = "  "
            line += " " + word
        print(line.rstrip())

    def code(self, code: str) -> None:
        for line in code.rstrip().splitlines():
            if self.terminal and len(line) > self.width - 5:
                line = line[: self.width - 6] + "…"  # a line that wraps is harder to read than one cut short
            print(f"     {coloured(line) if self.colour else line}".rstrip())

    def table(self, rows: list[list[str]]) -> None:
        widths = [max(map(len, column)) for column in zip(*rows)]
        for k, row in enumerate(rows):
            cells = [row[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:]))]
            line = "   " + "   ".join(cells)
            print(self.paint(line, DIM) if k == 0 else line)

    def waiting(self, what: str) -> _Waiting:
        return _Waiting(f"   {what} ...", self.terminal)


class _Waiting:
    """A line that is there while something takes its time; only on a terminal."""

    def __init__(self, text: str, terminal: bool):
        self.text, self.terminal = text, terminal

    def __enter__(self) -> None:
        if self.terminal:
            print(self.text, end="", flush=True)

    def __exit__(self, *_: object) -> None:
        if self.terminal:
            print("\r" + " " * len(self.text) + "\r", end="", flush=True)
