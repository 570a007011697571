"""`pb.explain`: the page, made of its template, style and script and of what was found out about a call."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import cache
from importlib.resources import files
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from ..ir.draw.graph import primal_of
from ..ir.errors import PullbackError
from ..ir.program import Let
from ..ir.types import dtype_name
from ..ir.walk import bound, walk
from ..transforms.saved import size
from .columns import Columns, Row, columns, stem
from .highlight import highlight
from .kept import Kept, kept
from .record import Recording, Step, record
from .stages import Stages, stages_of

STEPS = 2000


def explain(
    function: Callable[..., object],
    *args: object,
    argnums: int | Sequence[int] | None = None,
    seed: object = None,
    steps: int = STEPS,
    forward: bool = False,
) -> Explanation:
    """A page that shows the gradient of `function` at these arguments, at every stage.

    Beside each other: the source, the traced program, the adjoint program, the generated Python. Pointing at a line
    lights up what belongs to it; a slider steps through the run, forward and then backward, with values and
    cotangents; a table says what is kept for the reverse sweep. The page needs no network.

    argnums   positional arguments to differentiate by: by default all that have floats, or those of `function`
              where it is a `grad` or `value_and_grad`
    seed      the cotangent of the result; ones by default
    steps     how many operations of the run are recorded, at most
    forward   forward mode: the tangents beside the values, along `seed`, a direction of what is differentiated by

    Raises what `value_and_grad` and `vjp` raise. A run that fails (an index, an assert) is shown up to there.

    >>> page = explain(lambda x: np.sin(x) * x, 2.0)
    >>> page
    <pullback.explain of <lambda>: 7 steps; .save("page.html") writes the page>
    """
    if steps < 8:
        raise ValueError(f"steps must be at least 8, not {steps}")
    try:
        stages = stages_of(function, args, argnums, seed, forward)
    except PullbackError as error:  # says all; our frames would only hide it
        raise error.with_traceback(None) from None
    recording = record(stages.adjoint, stages.args, stages.reverse, steps)
    found = columns(stages)
    page = _page(stages, found, recording, kept(stages, found, recording))
    return Explanation(stages.name, page, len(recording.steps))


class Explanation:
    """A page of HTML: displayed in notebooks, written with `save`, the text itself is `html`."""

    def __init__(self, name: str, page: str, steps: int):
        self.name, self.html, self.steps = name, page, steps

    def save(self, path: str | PathLike[str]) -> Path:
        """Write the page to a file; gives its path."""
        target = Path(path)
        target.write_text(self.html, encoding="utf-8")
        return target

    def __repr__(self) -> str:
        return f'<pullback.explain of {self.name}: {self.steps} steps; .save("page.html") writes the page>'

    def _repr_html_(self) -> str:
        """In a frame of its own, so that styles of page and notebook do not meet."""
        inside = html.escape(self.html, quote=True)
        return (
            f'<iframe srcdoc="{inside}" title="pullback.explain of {html.escape(self.name)}" '
            'style="width:100%;height:860px;border:1px solid #8884;border-radius:8px"></iframe>'
        )


TITLES = {
    "user": ("Your code", "what you wrote"),
    "program": ("Program", "what was traced: one operation per line"),
    "adjoint": ("Adjoint", "forward, then every line's derivative in reverse"),
    "generated": ("Generated Python", "what numba compiles"),
}
TANGENT = ("Tangent", "every line, and beside it its derivative along the direction")


def _page(stages: Stages, found: Columns, recording: Recording, entries: list[Kept]) -> str:
    fill = {
        "title": f"{stages.name} explained",
        "style": _resource("page.css"),
        "script": _resource("page.js"),
        "data": _json(_data(stages, found, recording)),
        "name": html.escape(stages.name),
        "about": _about(stages),
        "columns": "\n".join(
            _column(key, rows, TANGENT if stages.tangent and key == "adjoint" else TITLES[key])
            for key, rows in found.all().items()
        ) + _picture(stages),
        "kept": "<p>Nothing: forward mode keeps nothing.</p>" if stages.tangent else _kept_table(entries, found),
        "note": html.escape(" ".join(filter(None, (recording.note, _failed(recording))))),
    }
    fill["title"] = html.escape(fill["title"])
    return re.sub(r"\{\{(\w+)\}\}", lambda m: fill[m[1]], _resource("page.html"))


@cache
def _resource(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _json(data: Any) -> str:
    """JSON that cannot end the script element it stands in."""
    text = json.dumps(data, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _failed(recording: Recording) -> str:
    return f"The run failed: {recording.failure}" if recording.failure else ""


def _about(stages: Stages) -> str:
    """The call in one line: types, and by what is differentiated."""
    params = ", ".join(
        f"<b>{html.escape(p.name)}</b>: {html.escape(_type(a))}"
        for p, a in zip(stages.program.params, stages.args)
    )
    by = ", ".join(f'<span class="bar over">{html.escape(name)}</span>' for name in stages.wrt)
    seeds = ", ".join(f'<span class="bar">{html.escape(name)}</span>' for name in stages.seeds)
    what, of = ("tangent", "direction") if stages.tangent else ("gradient", "seed")
    return f"<span>({params})</span> <span>{what}: {by}</span>" + (
        f" <span>{of}: {seeds}</span>" if seeds else ""
    )


def _type(value: Any) -> str:
    array = np.asarray(value)
    shape = f"[{', '.join(map(str, array.shape))}]" if array.ndim else ""
    return (dtype_name(array.dtype) or str(array.dtype)) + shape


# -- columns -----------------------------------------------------------------------------------------------


def _column(key: str, rows: list[Row], titles: tuple[str, str]) -> str:
    title, subtitle = titles
    lines = "\n".join(_line(key, k, row) for k, row in enumerate(rows))
    return (
        f'<section class="column" id="{key}" aria-labelledby="{key}-title">'
        f'<h2 id="{key}-title">{title} <small>{subtitle}</small></h2>'
        f'<div class="code" tabindex="0" role="group" aria-label="{title}: arrow keys move between lines">'
        f"{lines}</div></section>"
    )


def _picture(stages: Stages) -> str:
    """The dataflow, hidden at first."""
    return (
        '<section class="column" id="picture" aria-labelledby="picture-title" hidden>'
        '<h2 id="picture-title">Picture <small>what flows where; across: what the reverse sweep needs</small></h2>'
        f'<div class="code" tabindex="0">{stages.adjoint.graph().svg("plain")}</div></section>'
    )


def _line(key: str, k: int, row: Row) -> str:
    above = f'<div class="heading {row.sweep}">{html.escape(row.heading)}</div>' if row.heading else ""
    badge = {"saved": '<i class="badge">saves</i>', "reads": '<i class="badge">reads</i>'}.get(row.part, "")
    classes = " ".join(filter(None, ("line", row.sweep, row.part)))
    title = f' title="{html.escape(row.title, quote=True)}"' if row.title else ""
    return (
        f'{above}<div class="{classes}" id="{key}-{k}"{title}><span class="no">{row.number}</span>'
        f'<code>{_indented(row.text)}</code>{badge}<span class="chip"></span></div>'
    )


def _indented(text: str) -> str:
    """The line highlighted; its indentation apart, because it is shown narrower."""
    code = text.lstrip(" ")
    pad = text[: len(text) - len(code)]
    return (f'<span class="indent">{pad}</span>' if pad else "") + (highlight(code) or " ")


def _kept_table(entries: list[Kept], found: Columns) -> str:
    if not entries:
        return "<p>Nothing: the derivative does not depend on values of the forward sweep.</p>"
    rows = []
    for entry in entries:
        lit = html.escape(json.dumps([entry.made, entry.used]), quote=True)
        used = ", ".join(dict.fromkeys(filter(None, (_user_number(found, k) for k in entry.used))))
        kind = entry.how.partition(" ")[0]
        memory = "" if entry.bytes is None else size(entry.bytes)
        rows.append(
            f'<tr class="{kind}" tabindex="0" data-rows="{lit}"><th scope="row">{html.escape(entry.name)}</th>'
            f"<td>{entry.how}</td><td>{html.escape(entry.type)}</td><td>{memory}</td>"
            f"<td><code>{html.escape(entry.line)}</code></td><td>{used}</td></tr>"
        )
    total = sum(e.bytes or 0 for e in entries)
    return (
        "<table><thead><tr><th>value</th><th>how</th><th>type</th><th>memory</th><th>made in line</th>"
        f"<th>used for line</th></tr></thead><tbody>{''.join(rows)}</tbody>"
        f'<tfoot><tr><th colspan="3">together, in this call</th><td colspan="3">{size(total)}</td></tr></tfoot></table>'
    )


def _user_number(found: Columns, k: int) -> str:
    user = found.adjoint[k].user
    return found.user[user[0]].number if user else ""


LINK_FIELDS = ("user", "names", "uses", "index", "sweep")


# -- data for the script -------------------------------------------------------------------------------------


def _data(stages: Stages, found: Columns, recording: Recording) -> dict[str, Any]:
    names = [v.name for v in (*stages.adjoint.params, *bound(stages.adjoint.body))]
    known = {*names, *(v.name for v in bound(stages.program.body)), *(p.name for p in stages.program.params)}
    reverse = [_is_reverse(step, stages) for step in recording.steps]
    return {
        "columns": {
            key: [{k: v for k, v in asdict(row).items() if k in LINK_FIELDS and v} for row in rows]
            for key, rows in found.all().items()
        },
        "steps": [_step(step, found) for step in recording.steps],
        "forward": reverse.index(True) if True in reverse else len(reverse),
        "values": recording.values.rows,
        "variables": _variables(stages),
        "primal": {n: p for n in names if (p := primal_of(n, known))},
    }


def _is_reverse(step: Step, stages: Stages) -> bool:
    return step.part == "return" or (step.node is not None and stages.reverse[id(step.node)])


def _step(step: Step, found: Columns) -> list[Any]:
    """[row of the adjoint, part, [name, value, ...], operations skipped before it]"""
    flat = [item for pair in step.bound.items() for item in pair]
    if step.node is None:
        row = 0 if step.part == "arguments" else len(found.adjoint) - 1
    else:
        part = "test" if step.part == "test" else ""
        row = found.lines_of[id(step.node), part]
        if step.part in ("exit", "join") and step.bound:
            row = next(
                (k for k, r in enumerate(found.adjoint) if set(r.names) & set(step.bound) and k > row), row
            )
    return [row, step.part, flat, step.skipped]


def _variables(stages: Stages) -> list[str]:
    """The user's names, in the order of the program."""
    sizes = {n.var.name for n in walk(stages.program.body) if isinstance(n, Let) and n.op.name == "dim"}
    names = [p.name for p in stages.program.params]
    names += [stem(v.name) for v in bound(stages.program.body) if stem(v.name) not in sizes]
    return [name for name in dict.fromkeys(names) if name != "t"]
