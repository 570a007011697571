"""Errors as users see them: with the frames of their own functions, without ours."""

from __future__ import annotations

import types

from .ir.errors import PullbackError
from .tracer.bound import REGION
from .tracer.raising import known_here

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
        error.args = (error.args[0].replace("'Array'", "'numpy.ndarray'"), *error.args[1:])
    return error.with_traceback(_users(error.__traceback__))


def _users(trace: types.TracebackType | None) -> types.TracebackType | None:
    frames: list[types.TracebackType] = []
    while trace is not None:
        module = trace.tb_frame.f_globals.get("__name__") or ""
        if module.partition(".")[0] != _PACKAGE:
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
