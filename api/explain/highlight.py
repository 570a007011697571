"""Colours for lines of Python and of the IR, as escaped HTML."""

from __future__ import annotations

import html
import re

_TOKENS = re.compile(
    r"(?P<comment>#.*)"
    r"|(?P<string>[rbfuRBFU]{0,2}(?:'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"))"
    r"|(?P<type>\b(?:[fiu](?:8|16|32|64)|bool)\b(?:\[[^\]]*\])?)"
    r"|(?P<word>\b(?:def|return|for|in|while|if|else|elif|import|from|as|assert|not|and|or|break|continue|raise|"
    r"lambda|True|False|None|with|class|pass|is)\b)"
    r"|(?P<number>(?<![\w.])\d[\d_]*\.?\d*(?:e[-+]?\d+)?)"
    r"|(?P<bar>\b\w+_bar(?:_\d+)?\b)"
    r"|(?P<saved>\b\w+_saved(?:_\d+)?\b)"
    r"|(?P<join>\b(?:phi|last)\b(?=\())"
    r"|\w+"
)


def highlight(line: str) -> str:
    """The line as HTML, everything in it escaped.

    >>> highlight("if a < 1: # <b>")
    '<span class="word">if</span> a &lt; <span class="number">1</span>: <span class="comment"># &lt;b&gt;</span>'
    """
    parts = []
    end = 0
    for match in _TOKENS.finditer(line):
        parts.append(html.escape(line[end : match.start()]))
        text = html.escape(match.group())
        parts.append(f'<span class="{match.lastgroup}">{text}</span>' if match.lastgroup else text)
        end = match.end()
    parts.append(html.escape(line[end:]))
    return "".join(parts)
