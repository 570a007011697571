"""Long functions in pieces: equal loops become one function, which is compiled once and called for each.

What a list of layers or of points has become is a long function whose loops are the same again and again, under other
names and with other numbers in them. To compile each of them would take numba and LLVM minutes. So they leave such a
function: each becomes a call of a function of what it reads, which returns what is read later. Loops that are equal
up to names share one function; numbers in which they differ are passed. What is left, one line after the other, runs as
Python.

    for i in range(n):                         loss_grad_1(n, m, x, w, 0.5)
        for j in range(m):
            x[i, j] = np.tanh(x[i, j] + 0.5 * w[j])
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

PIECE = 60
"""Lines of a loop up to which it is one piece; the loops inside of a longer one leave it."""
LINE, LOOP = 0.002, 0.03
"""Seconds that a line, and a loop or a call of a kernel, take to compile."""
LOOPS, ALL = 2.5, 5.0
"""A function is cut if its loops would take longer to compile than this, or everything."""
SHARE = 0.5
"""The pieces must take less of that time than this, unless it is very long."""
SHORT = 4000
"""Characters of a source that is far from these limits."""
BOXED = "boxed("
"""What is in the text of a piece that gives back numbers."""
WORDS = ("np", "math", "support", "range", "boxed", "unboxed")

Block = list[ast.stmt]


@dataclass
class Flow:
    """What a block does to names: read before it binds them, surely bound, perhaps bound."""

    read: set[str] = field(default_factory=set)
    surely: set[str] = field(default_factory=set)
    perhaps: set[str] = field(default_factory=set)


def flow(block: Iterable[ast.stmt]) -> Flow:
    total = Flow()
    for statement in block:
        one = _flow_of(statement)
        total.read |= one.read - total.surely
        total.surely |= one.surely
        total.perhaps |= one.perhaps
    return total


def _flow_of(statement: ast.stmt) -> Flow:
    match statement:
        case ast.For(ast.Name(target), bounds, body):
            inner = flow(body)
            return Flow(_loads(bounds) | (inner.read - {target}), set(), inner.perhaps | {target})
        case ast.While(test, body):
            inner = flow(body)
            return Flow(_loads(test) | inner.read, set(), inner.perhaps)
        case ast.If(test, then, orelse):
            arms = flow(then), flow(orelse)
            leaves = [bool(arm) and isinstance(arm[-1], (ast.Raise, ast.Break)) for arm in (then, orelse)]
            sure = [arm.surely for arm, left in zip(arms, leaves) if not left]
            return Flow(
                _loads(test) | arms[0].read | arms[1].read,
                set.intersection(*sure) if sure else set(),
                arms[0].perhaps | arms[1].perhaps,
            )
    loads, stores = _loads(statement), _stores(statement)
    if isinstance(statement, ast.AugAssign):
        loads |= stores
    return Flow(loads, stores, stores)


def _walk(node: ast.AST) -> list[ast.AST]:
    """As ast.walk, but for what says only load or store; twice as fast."""
    found = [node]
    for each in found:
        for name in each._fields:
            value = getattr(each, name, None)
            if isinstance(value, list):
                found += [v for v in value if isinstance(v, ast.AST)]
            elif isinstance(value, ast.AST) and not isinstance(value, ast.expr_context):
                found.append(value)
    return found


def _loads(node: ast.AST) -> set[str]:
    return {n.id for n in _walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}


def _stores(node: ast.AST) -> set[str]:
    return {n.id for n in _walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}


def length(node: ast.AST) -> int:
    return sum(isinstance(n, ast.stmt) for n in _walk(node))


@dataclass
class Piece:
    """Lines that leave their function: those of a block from `start` to `stop`.

    inputs, outputs  names, in the order of their first appearance
    template  the text with numbers and names left out: equal for pieces that can share a function
    numbers   the constants that were left out
    inner     is it called by another piece?
    apart     is what it writes to surely no part of another array that it gets?
    """

    block: Block
    start: int
    stop: int
    inputs: list[str]
    outputs: list[str]
    template: str
    numbers: list[ast.Constant]
    inner: bool
    apart: bool


@dataclass(frozen=True)
class Cut:
    """A function in pieces: its lines, and the functions it calls, each with those that it calls itself above.

    apart   names of the functions whose arrays are surely no parts of each other
    """

    main: str
    pieces: dict[str, str]
    apart: frozenset[str]


def cut(source: str, name: str) -> Cut | None:
    """A generated function in pieces, if it is so long that it should not be compiled as it is."""
    if len(source) < SHORT:
        return None
    tree = ast.parse(source)
    function = next(s for s in tree.body if isinstance(s, ast.FunctionDef) and s.name == name)
    lines, loops = _cost(function)
    if loops < LOOPS and lines + loops < ALL:
        return None
    cutter = _Cutter(function)
    made = cutter.run()
    if made is None:
        return None
    costs = sum(sum(_cost(each)) + 2 * LOOP for each in made.values())
    if costs > SHARE * (lines + loops) and lines + loops < 4 * ALL:
        return None  # nothing is like anything else
    head = [s for s in tree.body if isinstance(s, (ast.Import, ast.ImportFrom))]
    texts = {}
    for each, definition in made.items():
        if each not in cutter.inner:
            within = [made[n] for n in cutter.inner if n in _reachable(each, made)]
            texts[each] = "\n".join(map(ast.unparse, [*head, *within, definition])) + "\n"
    main = "\n".join(map(ast.unparse, [*head, function])) + "\n"
    return Cut(main, texts, frozenset(cutter.apart))


def _reachable(name: str, made: dict[str, ast.FunctionDef]) -> set[str]:
    found: set[str] = set()
    front = [name]
    while front:
        called = {n for n in _loads(made[front.pop()]) if n in made} - found
        found |= called
        front += called
    return found


def _cost(function: ast.AST) -> tuple[float, float]:
    """Seconds to compile the lines, and the loops."""
    lines = loops = 0
    for node in _walk(function):
        lines += isinstance(node, ast.stmt)
        loops += isinstance(node, (ast.For, ast.While)) or (
            isinstance(node, ast.Name) and node.id == "support"
        )
    return LINE * lines, LOOP * loops


class _Cutter:
    def __init__(self, function: ast.FunctionDef):
        self.function = function
        own = _stores(function) | {a.arg for a in function.args.args}
        self.words = {*WORDS, *(_loads(function) - own)}  # names from outside: of modules and errors
        self.found: list[Piece] = []
        self.inner: list[str] = []
        self.apart: set[str] = set()
        self.same = _aliases(function)

    def run(self) -> dict[str, ast.FunctionDef] | None:
        """Replace the loops of the function, and its calls of kernels, by calls; gives the functions that are called.

        None if a loop cannot leave it.
        """
        function = self.function
        if not self.search(function.body, set(), {a.arg for a in function.args.args}, False):
            return None
        groups: dict[Any, list[Piece]] = {}
        for piece in self.found:  # those inside of others come before them
            groups.setdefault((piece.template, piece.inner, piece.apart), []).append(piece)
        names = {id(piece): f"{function.name}_{k}" for k, ps in enumerate(groups.values(), 1) for piece in ps}
        made: dict[str, ast.FunctionDef] = {}
        for pieces in groups.values():
            name = names[id(pieces[0])]
            made[name] = _function(name, pieces)
            if pieces[0].inner:
                self.inner.append(name)
            if pieces[0].apart:
                self.apart.add(name)
        for piece in reversed(self.found):  # each block from its end
            del piece.block[piece.start + 1 : piece.stop]
        return made

    def search(self, block: Block, after: set[str], bound: set[str], inner: bool) -> bool:
        """Find the pieces of a block; `after`: names that are read behind it, `bound`: that surely have a value before.

        False if a loop that runs as Python would be left.
        """
        flows = [_flow_of(statement) for statement in block]
        light = [_is_light(statement) for statement in block]
        lives = self.lives(block, flows, light, after)
        bound = set(bound)
        start = 0
        for k, (statement, one, live) in enumerate(zip(block, flows, lives)):
            if light[k]:
                if not _is_allocation(statement):
                    start = k + 1  # scalars stay
            else:
                long = length(statement) > PIECE
                # An arm of a long if stays Python; a long loop becomes a piece that calls others.
                arms = isinstance(statement, ast.If) and (long or _leaves(statement))
                if long or arms:
                    again = live | (set() if isinstance(statement, ast.If) else one.read)
                    own = {statement.target.id} if isinstance(statement, ast.For) else set()  # type: ignore[attr-defined]
                    for part in _blocks(statement):
                        if not self.search(part, again, bound | own, inner or not arms):
                            return False
                if not arms and not (inner and long):
                    part = block[start : k + 1]
                    total = flow(part)
                    outputs = total.perhaps & live
                    inputs = (total.read | (outputs - total.surely)) - self.words
                    if inputs <= bound and not _leaves(statement):
                        self.found.append(self.piece(block, start, k + 1, inputs, outputs, inner))
                    elif not inner:
                        return False
                start = k + 1
            bound |= one.surely
        return True

    def lives(
        self, block: Block, flows: Sequence[Flow], light: Sequence[bool], after: set[str]
    ) -> list[set[str]]:
        """What is read behind each loop: all of it where others are looked for inside, else of what its piece binds.

        All of it for each of them would take memory with the square of the length.
        """
        live = set(after)
        lives: list[set[str]] = [set() for _ in block]
        for k in range(len(block) - 1, -1, -1):
            if not light[k]:
                if isinstance(block[k], ast.If) or length(block[k]) > PIECE:
                    lives[k] = set(live)
                else:
                    start = k
                    while start and light[start - 1] and _is_allocation(block[start - 1]):
                        start -= 1
                    lives[k] = live & set().union(*(one.perhaps for one in flows[start : k + 1]))
            live -= flows[k].surely
            live |= flows[k].read
        return lives

    def piece(
        self, block: Block, start: int, stop: int, inputs: set[str], outputs: set[str], inner: bool
    ) -> Piece:
        lines = block[start:stop]
        template = _Template(inputs, outputs, self.words)
        text = template.of(lines)
        found = _arrays(lines)
        arrays = [self.same.get(n, n) for n in template.order if n in inputs and n in found]
        return Piece(
            block, start, stop,
            [n for n in template.order if n in inputs], [n for n in template.order if n in outputs],
            text, template.numbers, inner, len(set(arrays)) == len(arrays),
        )  # fmt: skip


def _aliases(function: ast.FunctionDef) -> dict[str, str]:
    """Names that may stand for parts of one array, by one of them."""
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        while name in parent:
            name = parent[name]
        return name

    for node in _walk(function):
        if not isinstance(node, ast.Assign) or _is_new(node.value):
            continue
        targets = {name for target in node.targets for name in _stores(target)}
        for name in _loads(node.value) if targets else ():
            for target in targets:
                a, b = root(name), root(target)
                if a != b:
                    parent[a] = b
    names = {n.id for n in _walk(function) if isinstance(n, ast.Name)}
    return {name: root(name) for name in names}


def _is_new(value: ast.expr) -> bool:
    """Is it a number, or an array with memory of its own?"""
    match value:
        case ast.Call(ast.Attribute(_, "reshape" | "transpose")):
            return False
        case ast.Call() | ast.BinOp() | ast.UnaryOp() | ast.Compare() | ast.Constant() | ast.BoolOp():
            return True
        case ast.Subscript(ast.Attribute(_, "shape")):
            return True
    return False


def _arrays(lines: Block) -> set[str]:
    """Names that surely are arrays: those with subscripts and attributes, and those that kernels get."""
    found = set()
    for line in lines:
        for node in _walk(line):
            match node:
                case ast.Subscript(ast.Name(name)) | ast.Attribute(ast.Name(name)):
                    found.add(name)
                case ast.Call(ast.Attribute(ast.Name("support")), args):
                    found |= {a.id for a in args if isinstance(a, ast.Name)}
                case ast.Assign([ast.Name(name)], ast.Call(ast.Attribute(_, "empty" | "zeros" | "copy"))):
                    found.add(name)
    return found - {*WORDS}


def _is_allocation(statement: ast.stmt) -> bool:
    match statement:
        case ast.Assign([ast.Name()], ast.Call(ast.Attribute(ast.Name("np"), "empty" | "zeros"))):
            return True
    return False


def _is_light(statement: ast.stmt) -> bool:
    """A line of scalars, an allocation, a check: nothing that takes numba long."""
    if isinstance(statement, (ast.For, ast.While)):
        return False
    if isinstance(statement, ast.If):
        return not any(isinstance(n, (ast.For, ast.While)) for n in _walk(statement))
    return not any(isinstance(n, ast.Name) and n.id == "support" for n in _walk(statement))


def _blocks(statement: ast.stmt) -> list[Block]:
    return [b for b in (getattr(statement, "body", []), getattr(statement, "orelse", [])) if b]


def _leaves(statement: ast.stmt) -> bool:
    """Does it leave the function, or a loop around it?"""
    if any(isinstance(n, ast.Return) for n in _walk(statement)):
        return True
    return isinstance(statement, ast.If) and any(
        isinstance(n, (ast.Break, ast.Continue)) for n in _walk(statement)
    )


class _Template(ast.NodeVisitor):
    """The text of a loop without its names and numbers."""

    def __init__(self, inputs: set[str], outputs: set[str], words: set[str]):
        self.global_ = words
        self.order: dict[str, int] = {}
        self.numbers: list[ast.Constant] = []
        self.words: list[str] = []
        self.inputs, self.outputs = inputs, outputs

    def of(self, statements: Block) -> str:
        for statement in statements:
            self.visit(statement)
        roles = [(n in self.inputs) + 2 * (n in self.outputs) for n in self.order]
        return " ".join(self.words) + f" {roles}"

    def generic_visit(self, node: ast.AST) -> None:
        self.words.append(type(node).__name__)
        for _, value in ast.iter_fields(node):
            if isinstance(value, str):
                self.words.append(value)
            elif isinstance(value, list):
                self.words.append("[")
                for each in value:
                    self.visit(each)
                self.words.append("]")
            elif isinstance(value, ast.AST):
                self.visit(value)

    def visit_Name(self, node: ast.Name) -> None:  # noqa: N802
        if node.id in self.global_:
            self.words.append(node.id)
        else:
            self.words.append(f"${self.order.setdefault(node.id, len(self.order))}")

    def visit_Constant(self, node: ast.Constant) -> None:  # noqa: N802
        if type(node.value) in (int, float):
            self.words.append(f"#{type(node.value).__name__}")
            self.numbers.append(node)
        else:
            self.words.append(repr(node.value))


class _Rename(ast.NodeTransformer):
    def __init__(self, numbers: dict[int, str]):
        self.numbers = numbers

    def visit_Constant(self, node: ast.Constant) -> ast.expr:  # noqa: N802
        name = self.numbers.get(id(node))
        return node if name is None else ast.copy_location(ast.Name(name, ast.Load()), node)


def _function(name: str, pieces: Sequence[Piece]) -> ast.FunctionDef:
    """The function of equal pieces; each of them becomes a call of it."""
    first = pieces[0]
    columns = list(zip(*([repr(n.value) for n in p.numbers] for p in pieces)))
    differing = [k for k, column in enumerate(columns) if len(set(column)) > 1]
    given = {k: f"number_{j}" for j, k in enumerate(differing)}
    body = first.block[first.start : first.stop]
    maybe = [] if first.inner else [k for k, n in enumerate(first.outputs) if n not in _arrays(body)]
    for piece in pieces:
        values: list[ast.expr] = [ast.Name(n, ast.Load()) for n in piece.inputs]
        values += [ast.Constant(piece.numbers[j].value) for j in differing]
        call: ast.expr = ast.Call(ast.Name(name, ast.Load()), values, [])
        if maybe:
            which = ast.Tuple([ast.Constant(k) for k in maybe], ast.Load()) if len(piece.outputs) > 1 else None
            call = ast.Call(ast.Name("unboxed", ast.Load()), [call, *([which] if which else [])], [])
        new = ast.Assign([_names(piece.outputs, ast.Store())], call) if piece.outputs else ast.Expr(call)
        piece.block[piece.start] = ast.fix_missing_locations(ast.copy_location(new, piece.block[piece.start]))
    rename = _Rename({id(first.numbers[j]): given[j] for j in differing})
    body = [rename.visit(statement) for statement in body]
    results = [ast.Name(n, ast.Load()) for n in first.outputs]
    given_back: list[ast.expr] = [
        ast.Call(ast.Name("boxed", ast.Load()), [r], []) if k in maybe else r for k, r in enumerate(results)
    ]
    out = given_back[0] if len(given_back) == 1 else ast.Tuple(given_back, ast.Load()) if given_back else None
    arguments = ast.arguments(
        [], [ast.arg(n) for n in (*first.inputs, *given.values())], None, [], [], None, []
    )
    made = ast.FunctionDef(name, arguments, [*body, ast.Return(out)], [])
    return ast.fix_missing_locations(ast.copy_location(made, body[0]))


def _names(names: Sequence[str], context: ast.expr_context) -> ast.expr:
    each = [ast.Name(n, context) for n in names]
    return each[0] if len(each) == 1 else ast.Tuple(each, context)  # type: ignore[arg-type]


def unboxed(found: Any, which: tuple[int, ...] | None = None) -> Any:
    """What a piece returned: numbers come as arrays of rank 0, which keep their dtype, and become NumPy's scalars."""
    if which is None:
        return found[()] if found.ndim == 0 else found
    values = list(found)
    for k in which:
        if values[k].ndim == 0:
            values[k] = values[k][()]
    return values
