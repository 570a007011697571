"""What is done before a loop or branch in which a list changes, so that it can be traced again."""

from __future__ import annotations

from typing import Any

from ...ir.affine import Affine
from ...ir.build import atom_dim
from ...ir.program import Atom
from ..session import Session
from ..snapshot import ContainerChange
from ..values.staged_list import LENGTH, TEMPLATE
from ..values.symbol import as_value
from .elements import Template, Unlike, describe, fields, join
from .lists import List


def restaged(session: Session, need: Exception, trips: Atom | None) -> bool:
    """Prepare for what a loop (of at most `trips` iterations) or a branch needs: then it can be traced again."""
    if not isinstance(need, ContainerChange) or need.given_up:
        return False
    need.given_up = True
    if not isinstance(need.holder, List):
        return False
    try:
        prepare(session, need, trips)
    except Unlike as unlike:
        why = f"the elements of the list differ: {unlike}. {need.bare_message}"
        need.__init__(why, need.span)  # type: ignore[misc]
        return False
    return True


def prepare(session: Session, found: ContainerChange, trips: Atom | None) -> None:
    """Before a loop (of at most `trips` iterations) or branch in which a list changes: make it one in arrays.

    Raises Unlike if its elements do not go together.
    """
    holder, builder = found.holder, session.builder
    assert isinstance(holder, List)
    before = len(found.before) if TEMPLATE not in found.before else None
    if TEMPLATE in found.after:
        template = _outside(session, found.after[TEMPLATE])
        end = builder.affine(as_value(session, found.after[LENGTH])[0])
    else:
        items = list(found.after.values()) or list(found.before.values())
        if not items:
            raise Unlike("it has none")
        template = _outside(session, describe(session, items[0]))
        for item in items[1:]:
            template = join(session, template, _outside(session, describe(session, item)))
        end = Affine(len(found.after))
    if not fields(template):
        raise Unlike("no numbers among them")
    holder.room = None
    if before is None:
        holder.retype(session, join(session, holder.template(), template))
        if found.step is not None and trips is not None:
            holder.reserve(session, _times(session, trips, found.step))
            holder.room = len(builder._regions), found.step
        return
    capacity: Atom | None = None
    trips = None if found.rebound else trips
    added = _highest(session, end, found.facts)
    if trips is not None and added is not None and not holder.shrinks and builder.facts.proves(added - before):
        added = added - before
        capacity = builder.integer(_times(session, trips, added) + before)
        holder.room = len(builder._regions), added
    holder.stack(session, template, capacity)


def _times(session: Session, count: Atom, step: Affine) -> Affine:
    builder = session.builder
    if not step.terms:
        return builder.affine(count).scaled(step.constant)
    return builder.affine(session.integer("mul", count, builder.integer(step)))


def _highest(session: Session, form: Affine, facts: Any, depth: int = 4) -> Affine | None:
    """What the form is at most, in names that are known here."""
    builder = session.builder
    inner = [(n, c) for n, c in form.terms if not builder.in_scope(n)]
    if not inner:
        return form
    if depth:
        name, coefficient = inner[0]
        for bound in (facts.upper if coefficient > 0 else facts.lower).get(name, ()):
            found = _highest(session, form.substitute(name, bound), facts, depth - 1)
            if found is not None:
                return found
    return None


def _outside(session: Session, template: Template) -> Template:
    """The template with sizes that are known before the region."""
    builder = session.builder

    def size(dim: Any) -> Any:
        if isinstance(dim, int) or builder.in_scope(dim):
            return dim
        form = builder.affine(dim)
        if not all(map(builder.in_scope, form.names)):
            raise Unlike("their shape depends on the iteration")
        return atom_dim(builder.integer(form))

    return template.mapped(size)


