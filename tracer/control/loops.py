"""Tracing a for or a while into one node of the IR.

The body is traced from a snapshot of the state, with phis for what it carries; it is traced again when it
changed more than was assumed, or when a value came back with a wider type.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from ...ir.affine import Affine
from ...ir.build import atom_dim, dim_atom, literal
from ...ir.errors import TypeMismatch, UnsupportedSyntax
from ...ir.program import Atom, Exit, Lit, Node, Phi, Var
from ...ir.types import BOOL, I64, Dim, Type
from ..lists.containers import Rebound, described
from ..lists.lengths import Lengths
from ..outside.effects import MISSING
from ..raising import PathEnds
from ..session import Session
from ..snapshot import Frame, MaybeUnbound, Slot, State, Unbound, assign, leaves, same
from ..values.convert import adapted, cast, joins, result_dtype
from ..values.optional import MaybeNone, can_be_optional, shown, simplest, started
from ..values.symbol import Array, Cell, PythonNumber, Scalar, Symbol, as_value
from .aliases import AliasChecks, CellsAfter
from .branches import is_number, live_slot, refuse_deleted, region
from .carried import Carried, LoopTypeChange

MOST_ATTEMPTS = 500
"""Each widens the type of a variable at least, and a type can be widened a few times only."""


class LoopTracer(AliasChecks, Lengths, Rebound):
    """Traces one loop; `run` traces what stands in the body and returns the condition of a while."""

    def __init__(
        self,
        session: Session,
        frame: Frame,
        head: tuple[str, ...],
        after: tuple[str, ...],
        stored: tuple[str, ...],
    ):
        self.session = session
        self.builder = session.builder
        self.runs: Callable[[], bool] = lambda: False  # is there an iteration for certain?
        self.ordinal: Affine | None = None  # how many iterations were before this one, and in all
        self.trips: Atom | None = None
        self.advancing: dict[Slot, Affine] = {}  # lengths of lists: how many elements an iteration adds
        self.irregular: set[Slot] = set()
        self.deep: set[Slot] = set()  # variables that the body binds to new containers
        self.frame = frame
        self.head = head
        self.after = after
        self.stored = stored
        self.before = State(session)
        self.span = session.span
        place = (self.span.file, self.span.line) if self.span else None
        self.memory = session.loops.setdefault(place, ({}, set()))
        self.depth = len(self.builder._regions)
        self.parted: set[tuple[Slot, int]] = set()  # names of an array that others have on entry, but not later
        self.shown: dict[tuple[Slot, int], dict[Cell, None]] = {}  # what arrays at the head may be views of
        self.unwritable: dict[tuple[Slot, int], str] = {}  # arrays at the head that may be others, and why
        self.nests: dict[Slot, Any] = {}  # names that only the body binds, with a value of theirs
        self.placeholders: dict[Slot, Any] = {}  # what stands for a value that is None: the one at the head
        self.slots: dict[tuple[Slot, int], Carried] = {}  # (slot, leaf) -> assumption
        self.cells: dict[Cell, None] = {c: None for c in self.before.cells if c.name in self.memory[1]}
        rebound = {name for (name, _), carried in self.memory[0].items() if carried.dims is not None}
        for name in stored:
            slot = (id(frame), name)
            # `x += v` stores to x, but an array stays the one it was: it is carried once it is seen rebound.
            if name in head and (name in rebound or not any(isinstance(v, Array) for v in self._entry(slot))):
                self.assume(slot)
        for (name, leaf), carried in self.memory[0].items():
            key = (id(frame), name), leaf
            if self.before.get(key[0]) is not None and key in self.slots:
                now = self.slots[key].dims
                dims = carried.dims
                if (dims is None) != (now is None) or len(dims or ()) != len(now or ()):
                    continue  # the loop after its first iteration, which changed the rank
                if dims is not None and now is not None:
                    # What was learnt is that a size changes; the others may have new names by now.
                    dims = tuple(None if old is None else dim for old, dim in zip(dims, now))
                self.slots[key] = replace(carried, dims=dims, bound=self.slots[key].bound)

    def _entry(self, slot: Slot) -> list[Any]:
        return self.leaves_of(slot, self.before)

    def _maybe_bound(self, slot: Slot) -> bool:
        """Has it a value on some paths to the loop only?"""
        return isinstance(self.before.get(slot), MaybeUnbound)

    def assume(self, slot: Slot) -> bool:
        """Carry a slot, as its entry value suggests. False if it has none that can be carried."""
        found = self._entry(slot)
        if not found or not all(is_number(v) or isinstance(v, Array) for v in found):
            return False
        bound = not self._maybe_bound(slot)
        for k, leaf in enumerate(found):
            if isinstance(leaf, Array):
                self.slots[slot, k] = Carried(leaf.type.dtype, False, leaf.dims, bound)
            else:
                atom, weak = as_value(self.session, leaf)
                self.slots[slot, k] = Carried(atom.type.dtype, weak, None, bound)
        return True

    def trace(
        self, run: Callable[[], Atom | None], test: Callable[[], Atom | None] | None = None
    ) -> tuple[list[Phi], list[Node], list[Node], Atom | None, list[Exit]]:
        """Trace until the assumptions hold: (phis, test nodes, body nodes, condition, exits)."""
        flags = self.before.flags()
        for _ in range(MOST_ATTEMPTS):
            self.before.restore()
            for thing, frozen in flags:  # what an attempt found may not hold in the next one
                thing.frozen = frozen
            self.builder.span = self.span
            result = self._attempt(run, test)
            if result is not None:
                return result
        raise AssertionError("types get wider with each attempt, and none is above all")

    def _attempt(self, run: Callable[[], Atom | None], test: Callable[[], Atom | None] | None) -> Any:
        session, builder = self.session, self.builder
        entries = self._entries()
        with region(session) as test_nodes:
            variables, dim_phis = self._phi_variables(entries)
            session.loop_variables.extend(variables.values())
            self._bind(variables)
            cell_vars = {}
            for cell in self.cells:
                cell_vars[cell] = builder.var(cell.name, cell.value.type)
                cell.value = cell_vars[cell]
            session.loop_variables.extend(cell_vars.values())
            at_head = State(session)
            self._show_at_head(at_head)
            cond = test() if test is not None else None
            if test is not None and (cond is None or isinstance(cond, Lit)):
                return [], [], [], cond, []
            if test is not None:
                self._refuse_changes(at_head, State(session))
            with region(session) as nodes:
                if cond is not None:
                    session.assume(cond, True)
                self._run(run, at_head)
                builder.span = self.span
                at_end = State(session)
                if not self._settled(at_head, at_end) or self._part(at_head, at_end):
                    return None
                if self._find_shown(at_head, at_end) or self._freeze_heads(at_head, at_end):
                    return None
                phis = self._close(entries, variables, dim_phis, cell_vars, at_end)
        self._check_aliases(at_head, at_end)
        self.check_containers(at_head, at_end)
        self.before.restore()
        builder.span = self.span
        exits = self._exits(variables, phis, cell_vars, at_end)
        self._remember()
        return phis, test_nodes, nodes, cond, exits

    def _refuse_changes(self, before: State, after: State) -> None:
        """The test of a `while` runs once more than its body; known after the loop is what is known at its head."""
        changed = [slot[1] for slot in before.changed(after)] + [cell.name for cell in before.written(after)]
        if changed:
            shown = repr(changed[0]) if isinstance(changed[0], str) else "an element of a container"
            raise self.session.error(
                UnsupportedSyntax,
                f"the test of this `while` changes {shown}. Write `while True:`, and `if not ...: break` as the "
                "first statement of its body",
            )

    def _run(self, run: Callable[[], object], at_head: State) -> None:
        self.session.binding.append((self.frame, self.stored))
        try:
            self.set_lengths()
            run()
        except Unbound as error:
            # `if i > 0: s += old`, and then `old = x[i]`: what comes first binds it.
            if error.frame is self.frame and error.name in self.stored:
                raise LoopTypeChange(error) from None
            raise
        except PathEnds as end:
            # An iteration raises for certain: what it leaves behind is of no matter.
            end.check(self.session, literal(False, "bool"))
            at_head.restore()
        finally:
            self.session.binding.pop()

    def _remember(self) -> None:
        for (slot, leaf), carried in self.slots.items():
            if slot[0] == id(self.frame):
                self.memory[0][slot[1], leaf] = carried
        self.memory[1].update(c.name for c in self.cells)

    # entry values, written before the loop
    def _entries(self) -> dict[tuple[Slot, int], Atom]:
        session, builder = self.session, self.builder
        entries: dict[tuple[Slot, int], Atom] = {}
        for (slot, k), want in list(self.slots.items()):
            if not want.bound and not self._maybe_bound(slot):
                if want.dims is not None:
                    written = (
                        atom_dim(builder.integer(d)) if isinstance(d, Affine) else d for d in want.dims
                    )
                    self.slots[slot, k] = want = replace(want, dims=tuple(written))
                if want.dims is None:
                    entries[slot, k] = literal(0, want.dtype)
                else:
                    dims = [0 if d is None else d for d in want.dims]
                    entries[slot, k] = builder.emit("zeros", tuple(map(dim_atom, dims)), want.dtype)
                continue
            atom, weak = as_value(session, self.leaves_of(slot, self.before)[k])
            entries[slot, k] = adapted(session, atom, weak, want.dtype, "a loop")
        return entries

    def _phi_variables(
        self, entries: dict[tuple[Slot, int], Atom]
    ) -> tuple[dict[Any, Var], dict[str, tuple[Any, int]]]:
        variables: dict[Any, Var] = {}
        dim_phis: dict[str, tuple[Any, int]] = {}
        for key, want in self.slots.items():
            hint = self._name(key[0])
            if key[1] == 0 and type(self.nests.get(key[0], self.before.get(key[0]))) is MaybeNone:
                hint += "_is_none"
            if want.dims is None:
                variables[key] = self.builder.var(hint, Type(want.dtype))
                if not want.bound:
                    variables[key, "bound"] = self.builder.var(f"{hint}_bound", BOOL)
                continue
            dims: list[Dim] = []
            for axis, dim in enumerate(want.dims):
                if dim is None:
                    size = self.builder.var("n", I64)
                    variables[key, axis] = size
                    dim_phis[size.name] = (key, axis)
                    self.builder.facts.bound(size.name, lower=self.builder.affine(0))
                    dim = size.name
                dims.append(dim)
            variables[key] = self.builder.var(hint, Type(want.dtype, tuple(dims)))
            if not want.bound:
                variables[key, "bound"] = self.builder.var(f"{hint}_bound", BOOL)
        return variables, dim_phis

    def _name(self, slot: Slot) -> str:
        holder = self.before.holder(slot)
        name = str(slot[1]).strip("_") if isinstance(holder, Frame) or isinstance(slot[1], str) else "t"
        return name if name.isidentifier() else "t"

    def _by_slot(self) -> dict[Slot, list[int]]:
        grouped: dict[Slot, list[int]] = {}
        for slot, k in self.slots:
            grouped.setdefault(slot, []).append(k)
        return grouped

    def _bind(self, variables: dict[Any, Var]) -> None:
        """The state at the head of an iteration: carried slots hold the phis."""
        cells: dict[Any, Cell] = {}
        self._heads = {}
        for slot, ks in self._by_slot().items():
            old = self.before.get(slot)
            if isinstance(old, MaybeUnbound):
                old = old.value
            fresh = [self._symbol((slot, k), variables, cells, old, k) for k in ks]
            value = self.together(slot, self.nests.get(slot, old), fresh, self.before)
            if type(value) is MaybeNone:
                self.placeholders[slot] = value.value
            if (slot, 0) in self.slots and not self.slots[slot, 0].bound:
                value = MaybeUnbound(self.session, value, variables[(slot, 0), "bound"])
            assign(self.before.holder(slot), slot[1], value)

    def _symbol(self, key: Any, variables: dict[Any, Var], cells: dict[Any, Cell], old: Any, k: int) -> Any:
        want = self.slots[key]
        if want.dims is None:
            return Scalar(self.session, variables[key], want.weak) if want.fixed is MISSING else want.fixed
        # Names that showed one cell on entry show one cell at the head, too.
        before = self.leaves_of(key[0], self.before)[k] if old is not None else None
        token = key
        if isinstance(before, Array) and key not in self.parted:
            token = before.cell, before.maps
        if token not in cells:
            cells[token] = Cell(self.session, variables[key], self._name(key[0]))
        cells[token].frozen = cells[token].frozen or self.unwritable.get(key)
        self._heads.setdefault(cells[token], []).append(key)
        return Array(self.session, cells[token])

    # what the body changed
    def _settled(self, at_head: State, at_end: State) -> bool:
        settled = True
        for slot in at_head.changed(at_end):
            if not live_slot(slot, self.frame, self.head) or slot in self.advancing:
                continue
            refuse_deleted(self.session, at_head, at_end, slot)
            if self.advances(slot, at_head, at_end):
                settled = False
            elif slot not in self._by_slot():
                settled = False
                if self.is_rebound(slot, at_end):
                    self.grown(slot, at_end)
                    self.deep.add(slot)
                if not self.assume(slot):
                    self._carry_new(slot, at_end.get(slot))
        for cell in at_head.written(at_end):
            if cell in self.before.cells and cell not in self.cells:
                self.cells[cell] = None
                settled = False
        for (slot, k), want in list(self.slots.items()):
            if not any(isinstance(dim, Affine) for dim in want.dims or ()):  # else it is new
                settled = self._widen(slot, k, want, at_end) and settled
        return self.lengths_settled(at_head, at_end) and settled

    def _carry_new(self, slot: Slot, value: Any) -> None:
        """A name that only the body binds, but that is read later."""
        if isinstance(value, MaybeUnbound):
            value = value.value
        if self.session.hidden.effects.carry(self, slot, value):
            return
        missing = object()
        old = self.before.get(slot, missing)
        if old is not missing:
            raise self._differs(slot, old, value)
        self._carry_number(slot, value)

    def _carry_number(self, slot: Slot, value: Any) -> None:
        if not all(is_number(leaf) or isinstance(leaf, Array) for leaf in leaves(value)):
            self.session.hidden.effects.refuse_in_loop(slot, value)
            why = f"{slot[1]!r} becomes {shown(value)} in a traced loop and is read after it. Bind it before"
            raise LoopTypeChange(self.session.error(TypeMismatch, why))
        self.nests[slot] = value
        for k, leaf in enumerate(leaves(value)):
            atom, weak = as_value(self.session, leaf)
            dims = tuple(map(self._outside, atom.type.dims)) if atom.type.rank else None
            self.slots[slot, k] = Carried(atom.type.dtype, weak, dims, bound=False)

    def carry_fixed(self, slot: Slot, value: Any) -> None:
        """A name that only the body binds, always to this object."""
        self.slots[slot, 0] = Carried("bool", True, None, bound=False, fixed=value)

    def _outside(self, dim: Dim) -> Dim | Affine | None:
        """A size of the body as one of before the loop, or as a form of such; None if it is neither."""
        if isinstance(dim, int) or self.builder.in_scope(dim, self.depth):
            return dim
        form = self.builder.affine(dim)
        return form if all(self.builder.in_scope(name, self.depth) for name in form.names) else None

    def _widen(self, slot: Slot, k: int, want: Carried, at_end: State) -> bool:
        value, old, before = self.lifted(slot, at_end.get(slot)), self.before.get(slot), want
        if want.fixed is not MISSING:
            if not same(want.fixed, value):
                self._carry_number(slot, value)
            return same(want.fixed, value)
        found = self.leaves_of(slot, at_end)
        error = self.check_form(slot, at_end) if slot in self.deep else None
        if error is not None:
            raise LoopTypeChange(error)
        whole = old.value if isinstance(old, MaybeUnbound) else old
        tuples = [isinstance(v.value if type(v) is MaybeNone else v, tuple) for v in (whole, value)]
        same_form = tuples[0] == tuples[1] and len(leaves(whole)) == len(leaves(value))
        fits = k < len(found) and (is_number(found[k]) or isinstance(found[k], Array))
        if not fits or (want.bound and slot not in self.deep and not same_form):
            raise self._differs(slot, old, value)
        leaf = found[k]
        rank = leaf.type.rank if isinstance(leaf, Array) else None
        if not want.dims and not rank and (want.dims is None) != (rank is None):
            rank, want = None, replace(want, dims=None)  # an array of rank 0 and a number: a number
        if (want.dims is None) != (rank is None) or (rank is not None and rank != len(want.dims or ())):
            raise self._differs(slot, old, value)
        atom, weak = as_value(self.session, leaf)
        values = [(literal(0, want.dtype), want.weak), (atom, weak)]
        if not joins(*values):
            raise self._differs(slot, old, value)
        dims = want.dims
        if dims is not None:
            dims = tuple(
                d if d is not None and self.session.same_now(d, now) else None
                for d, now in zip(dims, atom.type.dims)
            )
        new = Carried(*result_dtype(values), dims, want.bound)
        self.slots[slot, k] = new
        return new == before

    def _differs(self, slot: Slot, old: Any, new: Any) -> Exception:
        kinds = type(old) is not MaybeNone and (old is None or new is None or type(new) is MaybeNone)
        found = new if old is None else old
        optional = None
        if kinds and found is not None and can_be_optional(found):
            sizes = [tuple(map(self._outside, v.type.dims)) for v in leaves(found) if isinstance(v, Array)]
            optional = slot, lambda: started(self.session, old, found, iter(sizes))
        advice = "Start it with a value of the final shape, such as np.zeros(...)"
        if not any(isinstance(v, (Symbol, *PythonNumber, np.ndarray, tuple, type(None))) for v in (old, new)):
            advice = "Make it before the loop or give it another name inside: only numbers, arrays and containers of "
            advice += "them can change from one iteration to the next"
        return LoopTypeChange(
            self.session.error(
                TypeMismatch,
                f"{slot[1]!r} is {described(old, self.before)} before this loop and {described(new, None)} after an "
                f"iteration; a traced loop needs one type. {advice}",
            ),
            optional,
        )

    # phis and exits
    def _close(
        self,
        entries: Any,
        variables: dict[Any, Var],
        dim_phis: dict[str, tuple[Any, int]],
        cell_vars: dict[Cell, Var],
        at_end: State,
    ) -> list[Phi]:
        session = self.session
        phis: list[Phi] = []
        for name, (key, axis) in dim_phis.items():
            end = self._end_atom(key, at_end)
            phis.append(
                Phi(Var(name, I64), dim_atom(entries[key].type.dims[axis]), dim_atom(end.type.dims[axis]))
            )
        for key, want in self.slots.items():
            end = cast(session, self._end_atom(key, at_end), want.dtype)
            phis.append(Phi(variables[key], entries[key], end))
            if not want.bound:
                value = at_end.get(key[0])
                bound = value.bound if isinstance(value, MaybeUnbound) else literal(True, "bool")
                old = self.before.get(key[0])
                first = old.bound if isinstance(old, MaybeUnbound) else literal(False, "bool")
                phis.append(Phi(variables[key, "bound"], first, bound))
        for cell, var in cell_vars.items():
            phis.append(Phi(var, self.before.cells[cell], at_end.cells[cell]))
        return phis

    def _end_atom(self, key: Any, at_end: State) -> Atom:
        if self.slots[key].fixed is not MISSING:
            return literal(False, "bool")
        return as_value(self.session, self.leaves_of(key[0], at_end)[key[1]])[0]

    def _exits(
        self, variables: dict[Any, Var], phis: list[Phi], cell_vars: dict[Cell, Var], at_end: State
    ) -> list[Exit]:
        session = self.session
        exits, ends = self._exit_variables(phis)
        after = CellsAfter(session)
        carried = sorted(self._by_slot().items(), key=lambda item: not self.slots[item[0], 0].bound)
        for slot, ks in carried:
            end_value = self.lifted(slot, at_end.get(slot))
            fresh: list[Any] = []
            for k in ks:
                want, exit_var = self.slots[slot, k], ends[variables[slot, k].name]
                if want.dims is not None:
                    fresh.append(self._array_after(slot, k, exit_var, at_end, after))
                else:
                    fresh.append(Scalar(session, exit_var, want.weak) if want.fixed is MISSING else want.fixed)
            value = self.together(slot, end_value, fresh, at_end)
            if isinstance(end_value, MaybeNone) and isinstance(end_value.flag, Lit) and self.runs():
                value = simplest(session, value.value, end_value.flag)
            if ks == [0] and (slot, 0) in self._exact:
                value = self._exact[slot, 0]
            elif not self.slots[slot, 0].bound:
                value = MaybeUnbound(session, value, ends[variables[(slot, 0), "bound"].name])
            assign(self.before.holder(slot), slot[1], value)
        for cell, var in cell_vars.items():
            if at_end.cells[cell] is not var:  # else no iteration writes it, though an earlier loop here wrote one
                cell.value = ends[var.name]
        after.settle()
        self.final_lengths()
        return exits

    def _exit_variables(self, phis: list[Phi]) -> tuple[list[Exit], dict[str, Var]]:
        """An exit for each phi, and its variable by the phi's name."""
        builder = self.builder
        exits: list[Exit] = []
        sizes: dict[str, str] = {}
        ends: dict[str, Var] = {}
        for phi in phis:
            type = phi.var.type.with_dims(
                tuple(sizes.get(d, d) if isinstance(d, str) else d for d in phi.var.type.dims)
            )
            exit_var = builder.var(phi.var.name, type)
            exits.append(Exit(exit_var, phi.var))
            ends[phi.var.name] = exit_var
            if phi.var.type == I64:
                sizes[phi.var.name] = exit_var.name
                for bound in builder.facts.lower.get(phi.var.name, []):
                    builder.facts.bound(exit_var.name, lower=bound)
        return exits, ends
