"""Errors as users see them: with the frames of their own functions, without ours."""

from __future__ import annotations

import linecache
import re
import traceback
import types

from ..ir.errors import BoundsError, PullbackError, ShapeMismatch, UnsupportedFunction
from ..ir.program import Span
from ..tracer.objects.objects import of_user
from ..tracer.raising import known_here
from ..tracer.staging.bound import REGION

_PACKAGE = __name__.partition(".")[0]


def without_our_frames(error: BaseException) -> BaseException:
    """The error to raise in place of one that came out of tracing or of a plain run.

    Ours say file and line themselves. Of an exception of the user's the frames of the user's functions are kept; what
    came out of our own code otherwise is a defect, and keeps all.
    """
    for said in (error, error.__cause__, error.__context__):  # NumPy puts an error of its own in front of ours
        if isinstance(said, PullbackError):
            return said.with_traceback(None)
    if not known_here(error):
        return error
    if error.args and isinstance(error.args[0], str):
        error.args = (_PLACEHOLDERS.sub(lambda met: _PLACEHOLDER[met[0]], error.args[0]), *error.args[1:])
    return error.with_traceback(_users(error.__traceback__))


def as_refusal(error: Exception) -> Exception:
    """What to raise for an error of tracing that a plain run of the function does not have.

    Where what NumPy's functions mean is stricter than NumPy itself, or code of a library or of the user's asks a traced
    value for what it has not, that is a refusal, with the user's line. What only a defect can raise (an assertion
    of ours, a missing key) is left as it is.
    """
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    if isinstance(error, PullbackError) or not frames:
        return error
    kind = next((ours for theirs, ours in _REFUSALS.items() if isinstance(error, theirs)), None)
    asked = not _ours(frames[-1]) or isinstance(error, AttributeError)
    if kind is None and not asked:
        return error
    span = None
    for frame, line in traceback.walk_tb(error.__traceback__):
        if not _ours(frame) and (span is None or of_user(frame.f_globals.get("__name__"))):
            file = frame.f_code.co_filename
            span = Span(file, line, linecache.getline(file, line).strip())
    text = _PLACEHOLDERS.sub(lambda met: _PLACEHOLDER[met[0]], str(error))
    if kind is None:
        kind, text = UnsupportedFunction, f"{type(error).__name__}: {text}".rstrip(": ")
    return kind(f"pullback cannot trace this line as it is written, which Python can run: {text}", span)


_PLACEHOLDER = {
    "'Array'": "'numpy.ndarray'", "'List'": "'list'", "'Scalar'": "'float'", "not Scalar": "not float",
    "not Array": "not ndarray",
}  # fmt: skip
"""What stands for the user's values while they are traced, in the messages of Python's own operators."""
_PLACEHOLDERS = re.compile("|".join(_PLACEHOLDER))


_REFUSALS: dict[type[Exception], type[PullbackError]] = {
    TypeError: UnsupportedFunction, IndexError: BoundsError, ValueError: ShapeMismatch,
}  # fmt: skip


def _ours(frame: types.FrameType) -> bool:
    return (frame.f_globals.get("__name__") or "").partition(".")[0] == _PACKAGE


def _users(trace: types.TracebackType | None) -> types.TracebackType | None:
    frames: list[types.TracebackType] = []
    while trace is not None:
        if not _ours(trace.tb_frame):
            code = trace.tb_frame.f_code
            if frames and _is_part(code, frames[-1].tb_frame.f_code):
                frames.pop()  # the arm or the loop body says the line better
            frames.append(trace)
        trace = trace.tb_next
    result = None
    for each in reversed(frames):
        result = types.TracebackType(result, each.tb_frame, each.tb_lasti, each.tb_lineno)
    return result


def _is_part(code: types.CodeType, outer: types.CodeType) -> bool:
    """Is the code a region of the function, or of a region of it?"""
    whole = outer.co_qualname.removesuffix(f".{REGION}")
    return code.co_filename == outer.co_filename and code.co_qualname == f"{whole}.{REGION}"
