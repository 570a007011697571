"""How operations and literals are spelled in generated Python: the one place that knows.

Texts carry the precedence of their outermost operator, so that they can be put into one another.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

import numpy as np

from ...ir.errors import IRError
from ...ir.ops.arith import CONVERT
from ...ir.primitive import Primitive, Trait
from ...ir.program import Lit
from ...ir.types import DTYPES, FLOATS, NARROW

ATOM, POWER, UNARY, PRODUCT, SUM, COMPARISON, TERNARY = 14, 13, 12, 11, 10, 5, 1
PRECEDENCE = {
    "+": SUM, "-": SUM, "*": PRODUCT, "/": PRODUCT, "//": PRODUCT, "%": PRODUCT, "**": POWER,
    "<<": 9, ">>": 9, "&": 8, "^": 7, "|": 6,
    "<": COMPARISON, "<=": COMPARISON, ">": COMPARISON, ">=": COMPARISON, "==": COMPARISON, "!=": COMPARISON,
}  # fmt: skip
NUMPY = {name: f"np.{'bool_' if name == 'bool' else row.numpy.name}" for name, row in DTYPES.items()}
MOST_NEGATIVE = str(-(2**63))

TEMPLATES: dict[str, str] = {
    "where": "({1} if {0} else {2})", "strong_mul": "({0} * {1} if {0} != 0 else {0})",
    "abs": "abs({0})", "invert": "np.invert({0})", "floordiv": "np.floor_divide({0}, {1})", "mod": "np.mod({0}, {1})",
    "int_power": "support.int_power({0}, {1})", "cbrt": "support.cbrt({0})",
    "logaddexp": "support.logaddexp({0}, {1})", "expit": "support.expit({0})", "erf": "math.erf({0})",
    "erfc": "math.erfc({0})", "gammaln": "support.gammaln({0})", "polygamma": "support.polygamma({0}, {1})",
    "factorial": "support.factorial({0})", "binomial": "support.binomial({0}, {1})",
    "isqrt": "support.isqrt({0})", "gcd": "support.gcd({0}, {1})",
    "radd": "support.radd({0}, {1})", "rmax": "support.rmax({0}, {1})", "rmin": "support.rmin({0}, {1})",
    "argsort": "support.argsort({0})", "search_left": "support.search_left({0}, {1})",
    "search_right": "support.search_right({0}, {1})",
    "stop_gradient": "({0})", "external": "support.external({0}, {1}, {2})", "dim": "{0}.shape[{1}]",
    "set_matmul": "support.matmul", "add_matmul": "support.add_matmul",
}  # fmt: skip
"""What generated code calls for an operation, where that is neither its operator nor its function in NumPy."""


@dataclass(frozen=True, slots=True)
class Text:
    """An expression and how tightly it binds."""

    text: str
    precedence: int = ATOM

    def within(self, precedence: int) -> str:
        """The text as an operand of something that binds like this."""
        return self.text if self.precedence >= precedence else f"({self.text})"


def template(op: Primitive) -> str | None:
    """How generated code spells an operation, `{k}` for operand k; None where it is lowered to loops.

    >>> from ...ir.ops import arith, math
    >>> template(arith.add), template(math.arctan2), template(math.erf), template(arith.CONVERT["u8"])
    ('{0} + {1}', 'np.arctan2({0}, {1})', 'math.erf({0})', 'np.uint8(np.int64({0}))')
    """
    if op.name in TEMPLATES:
        return TEMPLATES[op.name]
    if not op.elementwise:
        return None
    if op.has(Trait.CONVERTS):
        return _conversion(next(dtype for dtype, convert in CONVERT.items() if convert is op))
    if isinstance(op.numpy, str) and op.numpy == f"scipy.special.{op.name}":
        return f"support.{op.text}"
    if _is_operator(op):
        return op.text
    if isinstance(op.numpy, np.ufunc):
        return f"np.{op.numpy.__name__}({', '.join(f'{{{k}}}' for k in range(op.numpy.nin))})"
    return None


def _is_operator(op: Primitive) -> bool:
    return op.name not in TEMPLATES and op.elementwise and not re.match(r"\w+\(", op.text)


def may_raise(op: Primitive) -> bool:
    """Does an uncompiled run do this by an operator of Python that raises of Python's floats?"""
    return _is_operator(op) and not op.has(Trait.QUIET | Trait.OVERFLOWS)


def _conversion(dtype: str) -> str:
    if dtype == "bool":
        return "({0} != 0)"
    # Python raises where a number of its own does not fit few bits; compiled code cuts it off.
    return f"{NUMPY[dtype]}(np.int64({{0}}))" if dtype in NARROW - {"u64"} else f"{NUMPY[dtype]}({{0}})"


def literal(lit: Lit) -> Text:
    """A number, of exactly its dtype: in compiled code a plain 2.0 would make a float32 a float64."""
    text, dtype = lit.text, lit.type.dtype
    if dtype in FLOATS:
        value = float(text)
        plain = (
            "np.nan" if value != value else text.replace("inf", "np.inf") if "inf" in text else repr(value)
        )
        if dtype == "f32":
            return Text(f"np.float32({plain})")
        return Text(plain, UNARY if plain.startswith("-") else ATOM)
    if dtype in NARROW:
        return Text(f"{NUMPY[dtype]}({text})")
    if text == MOST_NEGATIVE:
        return Text("(-9223372036854775807 - 1)")
    return Text(text, UNARY if text.startswith("-") else ATOM)


@dataclass(frozen=True, slots=True)
class _Form:
    """A template: what precedence each operand needs, and the result's own."""

    template: str
    operands: tuple[int, ...]
    precedence: int


@cache
def _form(template: str) -> _Form:
    binary = re.fullmatch(r"\{0\} (\S+) \{1\}", template)
    if binary:
        level = PRECEDENCE[binary[1]]
        if level == POWER:
            return _Form(template, (ATOM, UNARY), POWER)
        # Comparisons do not chain; the others associate to the left.
        return _Form(template, (level + (level == COMPARISON), level + 1), level)
    if re.fullmatch(r"[-~]\{0\}", template):
        return _Form(template, (UNARY,), UNARY)
    count = len(set(re.findall(r"\{(\d)\}", template)))
    tight = re.findall(r"\{(\d)\}[.\[]", template)
    # In parentheses stand a choice, and with arithmetic in it the operands bind tighter than any operator.
    bare = 0 if not template.startswith("(") else ATOM if " * " in template else TERNARY + 1
    inner = [ATOM if str(k) in tight else bare for k in range(count)]
    if template == "({0} != 0)":
        inner = [COMPARISON + 1]
    return _Form(template, tuple(inner), ATOM)


def call(template: str, *operands: Text) -> Text:
    """A template filled in.

    >>> call("{0} * {1}", Text("a + b", SUM), Text("c")).text
    '(a + b) * c'
    >>> call("({0} * {1} if {0} != 0 else {0})", Text("a"), Text("1.0 - b", SUM)).text
    '(a * (1.0 - b) if a != 0 else a)'
    >>> call("{0} - {1}", Text("a"), Text("b - c", SUM)).text
    'a - (b - c)'
    """
    form = _form(template)
    texts = [o.within(p) for o, p in zip(operands, form.operands)]
    return Text(form.template.format(*texts), form.precedence)


LOGICAL = {"add": "{0} | {1}", "maximum": "{0} | {1}", "mul": "{0} & {1}", "minimum": "{0} & {1}"}
"""What NumPy's arithmetic of booleans is; compiled code would make integers of them."""


def operation(op: Primitive, operands: tuple[Text, ...], dtype: str) -> Text:
    """A scalar operation."""
    if op.elementwise and dtype in NARROW and not op.has(Trait.SELECTS | Trait.CONVERTS):
        # Compiled code computes with 64 bits: cut off what NumPy cuts off.
        return Text(f"{NUMPY[dtype]}({_operation(op, operands, dtype).text})")
    return _operation(op, operands, dtype)


def _operation(op: Primitive, operands: tuple[Text, ...], dtype: str) -> Text:
    if dtype == "bool" and op.name in LOGICAL:
        return call(LOGICAL[op.name], *operands)
    if op.name == "power" and operands[1].text == "2.0" and operands[0].text.isidentifier():
        return call("{0} * {1}", operands[0], operands[0])
    if op.name == "power":
        exponent = re.fullmatch(r"(?:np\.float32\()?(-?)([1-8])\.0\)?", operands[1].text)
        if exponent:  # numba multiplies for an integer exponent
            product = call("{0} ** {1}", operands[0], Text(exponent[2]))
            if not exponent[1]:
                return product
            # numba's 0.0 ** -2 raises, whatever the error model.
            return call("{0} / {1}", Text("1.0" if dtype == "f64" else "np.float32(1.0)"), product)
    if op.name == "floordiv" and dtype in FLOATS:
        return call("support.floor_divide({0}, {1})", *operands)
    if op.name == "where":
        # Binds less than anything, so it is in parentheses wherever it is an operand.
        cond, then, orelse = (o.within(TERNARY + 1) for o in operands)
        return Text(f"{then} if {cond} else {orelse}", TERNARY)
    spelled = template(op)
    if spelled is None:
        raise IRError(f"{op.name} is no ufunc of NumPy: it needs a row in TEMPLATES")
    return call(spelled, *operands)
