"""Functions like exp as LLVM's vectoriser can use them: for a whole vector at once, from libmvec.

Generated source says `np.exp(x)`. Before it is compiled, `swapped` puts our `exp(x)` in its place:
the same call of the scalar function, with an attribute that names the vector variants of it. A loop that is
vectorised calls those, other code the scalar function. Without libmvec the source stays as it is.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from typing import Any

import llvmlite.ir as ll
import numpy as np
from numba import types
from numba.extending import intrinsic

from .. import support
from ..intrinsics import libmvec

FUNCTIONS = {
    "np.exp": "exp", "np.exp2": "exp2", "np.expm1": "expm1",
    "np.log": "log", "np.log2": "log2", "np.log10": "log10", "np.log1p": "log1p",
    "np.sin": "sin", "np.cos": "cos", "np.tan": "tan",
    "np.arcsin": "asin", "np.arccos": "acos", "np.arctan": "atan", "np.arctan2": "atan2",
    "np.sinh": "sinh", "np.cosh": "cosh", "np.tanh": "tanh",
    "np.arcsinh": "asinh", "np.arccosh": "acosh", "np.arctanh": "atanh",
    "np.hypot": "hypot", "support.cbrt": "cbrt", "math.erf": "erf", "math.erfc": "erfc",
    "support.expit": "expit", "support.logaddexp": "logaddexp",
}  # fmt: skip
"""What stands in generated source: what is put there."""

INTRINSICS = ("exp", "exp2", "log", "log2", "log10", "sin", "cos", "pow")
"""LLVM knows these by another name, as numba calls them; loops with them are also unrolled."""

HALVES = {"0.5": "root", "1.5": "root3", "2.5": "root5", "-0.5": "unroot"}
"""Constant exponents whose power is a product of a square root, a quarter of pow's time."""

NAME = "pullback.vectormath"
"""What sources call this module: one name with a dot, so that no variable has it."""

_MENTIONED = re.compile(r" \*\* |\b(?:" + "|".join(map(re.escape, FUNCTIONS)) + r")\(")


def library(source: str) -> str | None:
    """What identifies the vector library, if there is one and the source can use it."""
    return libmvec.library() if _MENTIONED.search(source) else None


# -- sources -------------------------------------------------------------------------------------------


def swapped(tree: ast.Module) -> ast.Module:
    """The source's tree with the functions of this module, on the same lines.

    >>> print(ast.unparse(swapped(ast.parse("y = np.exp(x) ** w + x ** 2 + np.floor(x)"))))
    y = pullback.vectormath.pow(pullback.vectormath.exp(x), w) + x ** 2 + np.floor(x)
    """
    return ast.fix_missing_locations(_Swap().visit(tree))


class _Swap(ast.NodeTransformer):
    def visit_Call(self, node: ast.Call) -> ast.Call:
        self.generic_visit(node)
        match node.func:
            case ast.Attribute(ast.Name(module), function) if f"{module}.{function}" in FUNCTIONS:
                node.func = ast.copy_location(_ours(FUNCTIONS[f"{module}.{function}"]), node.func)
        return node

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        self.generic_visit(node)
        match node:
            case ast.BinOp(_, ast.Pow(), ast.Constant(int())):
                return node  # an integer exponent: numba multiplies
            case ast.BinOp(base, ast.Pow(), exponent) if ast.unparse(exponent) in HALVES:
                return ast.copy_location(ast.Call(_ours(HALVES[ast.unparse(exponent)]), [base], []), node)
            case ast.BinOp(base, ast.Pow(), exponent):
                return ast.copy_location(ast.Call(_ours("pow"), [base, exponent], []), node)
        return node


def _ours(name: str) -> ast.Attribute:
    return ast.Attribute(ast.Name(NAME, ast.Load()), name, ast.Load())


# -- functions -----------------------------------------------------------------------------------------


def _function(name: str) -> Callable[..., Any]:
    """A function of libm for compiled code: a scalar call that says what its vector variants are."""

    def result(operands: tuple[Any, ...]) -> Any:
        single = all(isinstance(a, types.Float) and a.bitwidth == 32 for a in operands)
        return types.float32 if single else types.float64

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = context.get_value_type(signature.return_type)
        function = _scalar(builder.module, name, kind, len(args))
        call = builder.call(function, args)
        found = libmvec.variants(name, str(kind))
        if found:
            prefix = f"_ZGV_LLVM_N{{}}{'v' * len(args)}_{function.name}({{}})"
            mappings = ",".join(prefix.format(lanes, variant) for variant, lanes in found)
            _add(call, f'"vector-function-abi-variant"="{mappings}"')
            for variant, lanes in found:
                _declare(builder.module, variant, ll.VectorType(kind, lanes), len(args))
        return call

    if libmvec.arity(name) == 1:

        def one(context: Any, x: Any) -> Any:
            return result((x,))(result((x,))), generate

        return intrinsic(one)

    def two(context: Any, x: Any, y: Any) -> Any:
        return result((x, y))(*[result((x, y))] * 2), generate

    return intrinsic(two)


def _scalar(module: Any, name: str, kind: Any, operands: int) -> Any:
    """The scalar function, declared as one that may be computed where its result is not needed."""
    function_type = ll.FunctionType(kind, [kind] * operands)
    if name in INTRINSICS:
        return module.declare_intrinsic(f"llvm.{name}", [kind], function_type)
    symbol = libmvec.symbol(name, str(kind))
    function = module.globals.get(symbol)
    if function is None:
        function = ll.Function(module, function_type, symbol)
        _add(function, "speculatable", "readnone", "nounwind")
    return function


def _add(to: Any, *attributes: str) -> None:
    """Add attributes, also those that llvmlite does not know."""
    set.update(to.attributes, attributes)


def _declare(module: Any, variant: str, vector: Any, operands: int) -> None:
    """Declare a variant that only the vectoriser will call, so that nothing drops it before."""
    if variant in module.globals:
        return
    function = ll.Function(module, ll.FunctionType(vector, [vector] * operands), variant)
    kept = module.globals.get("llvm.compiler.used")
    pointers = [*(kept.initializer.constant if kept else ()), function.bitcast(ll.PointerType())]
    array = ll.ArrayType(ll.PointerType(), len(pointers))
    if kept is None:
        kept = ll.GlobalVariable(module, array, "llvm.compiler.used")
        kept.linkage, kept.section = "appending", "llvm.metadata"
    kept.value_type, kept.initializer = array, ll.Constant(array, pointers)


exp, exp2, expm1 = _function("exp"), _function("exp2"), _function("expm1")
log, log2, log10, log1p = _function("log"), _function("log2"), _function("log10"), _function("log1p")
sin, cos, tan = _function("sin"), _function("cos"), _function("tan")
asin, acos, atan, atan2 = _function("asin"), _function("acos"), _function("atan"), _function("atan2")
sinh, cosh, tanh = _function("sinh"), _function("cosh"), _function("tanh")
asinh, acosh, atanh = _function("asinh"), _function("acosh"), _function("atanh")
erf, erfc = _function("erf"), _function("erfc")
pow, hypot, cbrt = _function("pow"), _function("hypot"), _function("cbrt")  # noqa: A001

expit = support.jitable(support.expit_with(exp))
logaddexp = support.jitable(support.logaddexp_with(exp, log1p))


# -- powers --------------------------------------------------------------------------------------------

# Adding 0.0 makes 0.0 of -0.0, whose powers are those of 0.0. The root of -inf is nan, its powers are not.
# float32 constants are exact here and change the type of neither float32 nor float64.
_0, _1, _INF = np.float32(0.0), np.float32(1.0), np.float32(np.inf)


@support.jitable
def root(x):
    """x ** 0.5, which NumPy computes as a square root too."""
    return np.sqrt(x)


@support.jitable
def root3(x):
    """x ** 1.5."""
    return _INF if x == -_INF else np.sqrt(x + _0) * (x + _0)


@support.jitable
def root5(x):
    """x ** 2.5."""
    return _INF if x == -_INF else np.sqrt(x + _0) * (x + _0) * (x + _0)


@support.jitable
def unroot(x):
    """x ** -0.5."""
    return _0 if x == -_INF else _1 / np.sqrt(x + _0)
