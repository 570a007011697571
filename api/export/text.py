"""The text of an exported module: checks of arguments, the generated functions, and a check of itself."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..calls.tree import Tree, flatten
from ..ir.errors import TypeMismatch
from ..ir.program import Span
from ..ir.types import DTYPES, Type
from ..runtime.lazy import lazy
from ..transforms.layout import Layout, Result, built, hidden_values
from .check import HELPERS, Check, self_check
from .helpers import STANDARD, helpers, imports_of
from .specialised import Form, array_text, public_name, wrapped

MAX_CONSTANT = 10_000
NUMBERS = {n: f"np.{row.numpy.name}" if row.python is None else row.python.__name__ for n, row in DTYPES.items()}


def module_text(
    name: str, span: Span | None, forms: list[Form], own: dict[str, list[Form]], kinds: Sequence[str],
    checks: Sequence[Check],
) -> str:  # fmt: skip
    """The module with these forms of a function.

    forms   of the function itself, which its gradients share
    own     for each other kind the forms that were traced for it
    kinds   in the order in which their functions stand in the file
    """
    by_kind = {kind: own.get(kind, forms) for kind in kinds}
    for of_kind in (forms, *own.values()):
        for form in of_kind[1:]:
            if form.names != of_kind[0].names or list(form.layouts) != list(of_kind[0].layouts):
                raise TypeMismatch("the forms that are exported together must have the same parameters")
    functions = [public_name(name, kind) for kind in kinds]
    if any(set(functions) & set(of_kind[0].names) for of_kind in by_kind.values()):
        raise TypeMismatch(f"a parameter of {name} has the name of an exported function: rename one of them")
    forms_too = [*forms, *(form for of_kind in own.values() for form in of_kind)]
    kernels = [text for form in forms_too for text in form.kernels.values()]
    definitions, kernels = helpers(kernels)
    compiled = [f"@njit(cache=True, error_model=\"numpy\", nogil=True)\n{text}" for text in kernels]
    constants: list[str] = []
    parts = [_arguments(form, constants) for form in forms_too]
    parts += [_public(name, kind, by_kind[kind]) for kind in kinds]
    check = self_check(name, forms, checks)
    rest = "\n\n\n".join([*compiled, *parts])
    wanted = [text for key, text in CHECKS.items() if re.search(rf"\b{key}\(", rest)]
    helping = [text for key, text in HELPERS.items() if re.search(rf"\b{key}\(", check)]
    body = [*definitions, *constants, *wanted, *compiled, *parts, *helping, check, MAIN]
    text = "\n\n\n".join(body)
    needed = imports_of(text)
    imports = "\n".join(line for line in needed if line in STANDARD)
    typing = "from typing import Any\n\n" if re.search(r"\bAny\b", text) else ""
    numba = "\n".join(line for line in needed if line not in STANDARD)
    file = Path(span.file).name.replace("\\", "/").replace('"', "'") if span else ""
    where = f" ({file}, line {span.line})" if span else ""
    version = lazy("").__version__
    signatures = "\n".join(f"    {form.shown()}" for form in forms or by_kind[kinds[0]])
    head = HEAD.format(
        name=name, where=where, version=version, functions=", ".join(functions), signatures=signatures,
        example=f"{functions[-1] if functions[-1] != name else name}_1",
        blas="and scipy, for products of matrices " if re.search(r"\bnp\.(dot|linalg)\b", text) else "",
    )  # fmt: skip
    imports = imports + "\n" if imports else ""
    return f"{head}\nfrom __future__ import annotations\n\n{imports}{typing}import numpy as np\n{numba}\n\n\n{text}\n"


# -- arguments ---------------------------------------------------------------------------------------------


def _arguments(form: Form, constants: list[str]) -> str:
    """The function that turns the user's arguments into the parameters of the generated functions."""
    traced = form.form.traced
    lines = [f"def _arguments_{form.label}({', '.join(form.names)}):"]
    lines.append(f'    """The parameters for {form.shown()}; raises TypeError or ValueError for others."""')
    positional = form.tree.children[0]
    for name, child in zip(form.names, positional.children):
        lines += _container(name, child)
    texts = [t for name, child in zip(form.names, positional.children) for t in child.paths(name)]
    given: dict[int, str] = {}
    for k, (text, place) in enumerate(zip(texts, traced.leaves)):
        if place is None:
            expected = traced.static[k]
            assert isinstance(expected, (bool, int, str, float)), "what else is static is no argument of export"
            lines.append(f"    if {text} != {expected!r}:")
            lines.append(f"        raise ValueError(f\"{_quoted(text)} must be {expected!r}\")")
            continue
        known = form.program.params[place]
        if known.type.rank:
            call = f"_array({text!r}, {text}, np.{known.type.numpy.name}, {known.type.rank})"
        else:
            call = f"_number({text!r}, {text}, {NUMBERS[known.type.dtype]})"
        lines.append(f"    {known.name} = {call}".replace("np.bool,", "np.bool_,"))
        given[place] = text
    lines += _sizes(form, given)
    params = [form.program.params[k].name for k in range(len(given))]
    for found, value in zip(traced.hidden, hidden_values(form.form)):
        text = f"{found.name.upper()} = {array_text(value, MAX_CONSTANT, found.name)}"
        text = wrapped(text)
        if text not in constants:
            if any(t.split(" = ")[0] == found.name.upper() for t in constants):
                text = text.replace(found.name.upper(), f"{found.name.upper()}_{form.number}", 1)
            constants.append(text)
        params.append(text.split(" = ")[0])
    lines.append(f"    return {', '.join(params)}{',' if len(params) == 1 else ''}" if params else "    return ()")
    return "\n".join(lines)


def _container(text: str, tree: Tree) -> list[str]:
    """Lines that check the containers of an argument."""
    kind = tree.kind
    if kind is None or kind is type(None):
        return []
    if kind in (tuple, list):
        test = f"not isinstance({text}, (tuple, list)) or len({text}) != {len(tree.children)}"
        what = f"a tuple or list of {len(tree.children)}"
    elif kind is dict and all(isinstance(key, str) for key in tree.keys):
        test = f"not isinstance({text}, dict) or set({text}) != {set(tree.keys)!r}"
        what = f"a dict of {', '.join(map(str, tree.keys))}"
    else:
        raise TypeMismatch(f"{text} is a {kind.__name__}, which an exported file does not know: pass a tuple or a dict")
    lines = [f"    if {test}:", f"        raise TypeError({f'{text} must be {what}'!r})"]
    for step, child in zip([tree._step(k) for k in range(len(tree.children))], tree.children):
        lines += _container(text + step, child)
    return lines


def _sizes(form: Form, given: dict[int, str]) -> list[str]:
    """Lines that check what was assumed of sizes."""
    traced = form.form.traced
    lines: list[str] = []
    seen: dict[str, str] = {}
    tests: list[tuple[str, str]] = []
    count = len(traced.inputs) - len(traced.hidden)
    for place in range(count):
        known = form.program.params[place]
        for axis, dim in enumerate(known.type.dims):
            size = f"{known.name}.shape[{axis}]"
            if isinstance(dim, int):
                tests.append((f"{size} != {dim}", f"{known.name} must have size {dim} on axis {axis}"))
            elif dim in seen:
                message = f"{known.name} must have the size {seen[dim]} on axis {axis}"
                tests.append((f"{size} != {seen[dim]}", message))
            else:
                seen[dim] = size
                tests.append((f"{size} < 2", f"{known.name} must have 2 or more elements on axis {axis}"))
    for test, message in tests:
        owner = test.partition(".shape")[0]
        lines.append(f"    if {test}:")
        lines.append(f"        raise ValueError(f\"{_quoted(message)}, not shape {{{owner}.shape}}\")")
    if traced.guards:
        for name, (place, axis) in traced.size_slots.items():
            if re.search(rf"\b{name}\b", traced.guards):
                owner = form.program.params[place].name
                if place >= count:  # of a constant
                    value = hidden_values(form.form)[place - count]
                    lines.append(f"    {name} = {value if axis < 0 else value.shape[axis]}")
                elif axis >= 0:
                    lines.append(f"    {name} = {owner}.shape[{axis}]")
        lines.append(f"    if not ({traced.guards}):")
        lines.append(f"        raise ValueError({f'this code is for sizes with {traced.guards}'!r})")
    arrays = [k for k in given if traced.inputs[k].type.rank]
    for a, b in sorted({tuple(sorted((k, other))) for k in traced.written for other in arrays if other != k}):
        lines.append(f"    if np.shares_memory({given[a]}, {given[b]}):")
        lines.append(f"        raise ValueError({f'{given[a]} and {given[b]} share memory, and one is written to'!r})")
    return lines


def _quoted(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}").replace('"', "'")


# -- the functions of the module ---------------------------------------------------------------------------


def _public(name: str, kind: str, forms: list[Form]) -> str:
    """The function that users of the module call."""
    first = forms[0]
    params = [f"{p}: {_hint([_argument_type(form, k) for form in forms])}" for k, p in enumerate(first.names)]
    if kind == "vjp":
        params.append("seed: Any")
    answer = _hint([_tree_type(form.layouts[kind].tree, iter(form.layouts[kind].leaves)) for form in forms])
    own = public_name(name, kind)
    lines = [f"def {own}({', '.join(params)}) -> {answer}:", f'    """{_summary(name, kind)}"""']
    given = ", ".join(first.names)
    p, which = _local("p", first), _local("which", first)
    if len(forms) == 1:
        lines.append(f"    {p} = _arguments_{first.label}({given})")
        lines += _call(name, kind, first, "    ")
    else:
        candidates = ", ".join(f"_arguments_{form.label}" for form in forms)
        lines.append(f"    {which}, {p} = _choose(({candidates}), {given})")
        for k, form in enumerate(forms):
            lines += ([f"    if {which} == {k}:"] if k < len(forms) - 1 else [])
            lines += _call(name, kind, form, "        " if k < len(forms) - 1 else "    ")
    return "\n".join(lines)


def _summary(name: str, kind: str) -> str:
    return SUMMARIES[kind].format(name=name) if kind in SUMMARIES else f"The {kind} of {name}."


def _call(name: str, kind: str, form: Form, indent: str) -> list[str]:
    """Lines that call the generated function and give its results the user's structure."""
    found = form.layouts[kind]
    p, r, b = (_local(text, form) for text in "prb")
    if kind != "vjp":
        lines = [f"{indent}{r} = {public_name(name, kind)}_{form.number}(*{p})"]
        texts = [_result(leaf, r) for leaf in found.leaves]
        return [*lines, f"{indent}return {built(found.tree, texts)}"]
    lines = [f"{indent}{r} = {name}_forward_{form.number}(*{p})"]
    paths = dict(zip((r.k for r in found.seeds), _seed_paths(form, found)))
    seeds: list[str] = []
    for seed in found.seeds:
        seeds.append(_local(f"s{len(seeds)}", form))
        dtype = f"np.{seed.type.numpy.name}"
        lines.append(f"{indent}{seeds[-1]} = _seed({paths[seed.k]}, {r}[{seed.k}], {dtype})")
    lines.append(f"{indent}{b} = {name}_backward_{form.number}({', '.join([f'*{r}[{found.count}:]', *seeds])})")
    value_count = len(flatten(found.tree.unflatten(found.leaves)[0])[0])
    texts = [_result(leaf, r if k < value_count else b) for k, leaf in enumerate(found.leaves)]
    return [*lines, f"{indent}return {built(found.tree, texts)}"]


def _local(name: str, form: Form) -> str:
    """A variable that is no parameter."""
    while name in form.names:
        name += "_"
    return name


def _seed_paths(form: Form, found: Layout) -> list[str]:
    """Where each float result's seed is in `seed`."""
    out = form.form.out
    entries = zip(out.paths("seed"), form.form.results)
    floats = {r.k for r in found.seeds}
    return [path for path, entry in entries if hasattr(entry, "k") and entry.k in floats]


def _result(leaf: Any, flat: str) -> str:
    if not isinstance(leaf, Result):
        if leaf is None or isinstance(leaf, (bool, int, float, str)):
            return repr(leaf)
        raise TypeMismatch(f"the result has a {type(leaf).__name__}, which cannot be written into a file")
    return f"np.float32({flat}[{leaf.k}])" if leaf.type == Type("f32") else f"{flat}[{leaf.k}]"


def _argument_type(form: Form, position: int) -> str:
    counts = [child.count for child in form.tree.children[0].children]
    start = sum(counts[:position])
    leaves = []
    for place in form.form.traced.leaves[start : start + counts[position]]:
        leaves.append(None if place is None else Result(0, form.program.params[place].type))
    return _tree_type(form.tree.children[0].children[position], iter(leaves))


def _tree_type(tree: Tree, leaves: Any) -> str:
    """The annotation of a container."""
    kind = tree.kind
    if kind is None:
        leaf = next(leaves)
        if not isinstance(leaf, Result):
            return "Any"
        return "np.ndarray" if leaf.type.rank else NUMBERS[leaf.type.dtype]
    parts = [_tree_type(child, leaves) for child in tree.children]
    if kind is tuple:
        return f"tuple[{', '.join(parts) or '()'}]"
    if kind is type(None):
        return "None"
    same = parts[0] if len(set(parts)) == 1 else "Any"
    return f"list[{same}]" if kind is list else f"dict[str, {same}]"


def _hint(types: list[str]) -> str:
    return types[0] if len(set(types)) == 1 else "Any"


SUMMARIES = {
    "value": "The value of {name}.",
    "grad": "The gradient of {name}.",
    "value_and_grad": "The value of {name}, and its gradient.",
    "vjp": "The value of {name}, and the cotangents of its arguments for a seed like the value.",
    "jvp": "The value of {name}, and its derivative along a tangent of the argument.",
    "jacobian": "The Jacobian of {name}.",
    "hessian": "The Hessian of {name}.",
    "hvp": "The Hessian of {name} times v.",
}

MARK = "# This file was generated: it has the licence of the function that it was made from."
"""How every exported module begins."""

HEAD = '''# This file was generated: it has the licence of the function that it was made from. The helpers in it are
# part of pullback, Apache License, Version 2.0: http://www.apache.org/licenses/LICENSE-2.0
"""{functions}: derivatives of `{name}`{where}.

For the arguments
{signatures}

Written by pullback {version}. It needs numpy and numba {blas}and not pullback. Run as a script it compares the
derivatives with finite differences. Functions with a number at the end, such as {example}, are compiled: other
functions under @njit can call them, with contiguous arrays.
"""
'''

CHECKS = {
    "_array": '''def _array(name, value, dtype, ndim):
    """The array, contiguous, if it is of this dtype and rank."""
    fits = isinstance(value, np.ndarray) and value.ndim == ndim
    if not fits or value.dtype != dtype:
        found = f"{value.dtype} of rank {value.ndim}" if isinstance(value, np.ndarray) else type(value).__name__
        raise TypeError(f"{name} must be an array of {np.dtype(dtype)} of rank {ndim}, not {found}")
    return np.ascontiguousarray(value)''',
    "_number": '''def _number(name, value, kind):
    """The number, if it is one of this kind."""
    flag = isinstance(value, (bool, np.bool_))
    whole = isinstance(value, (int, np.integer)) and not flag
    fits = {
        float: whole or isinstance(value, float), int: whole, bool: flag, np.float32: isinstance(value, np.float32),
    }
    if not fits[kind]:
        raise TypeError(f"{name} must be a number of type {kind.__name__}, not {type(value).__name__}")
    return kind(value)''',
    "_seed": '''def _seed(seed, value, dtype):
    """The cotangent of a value, of its shape."""
    if np.shape(seed) != np.shape(value):
        raise ValueError(f"the seed has shape {np.shape(seed)}, and the value has shape {np.shape(value)}")
    return np.ascontiguousarray(seed, dtype) if np.ndim(seed) else dtype(seed)''',
    "_choose": '''def _choose(candidates, *given):
    """The first form of the function that takes these arguments."""
    errors = []
    for k, arguments in enumerate(candidates):
        try:
            return k, arguments(*given)
        except (TypeError, ValueError) as error:
            errors.append(error)
    kind = ValueError if any(isinstance(error, ValueError) for error in errors) else TypeError
    raise kind("no form takes these arguments: " + "; ".join(map(str, errors)))''',
}

MAIN = '''if __name__ == "__main__":
    self_check()'''
