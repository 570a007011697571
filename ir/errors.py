"""The errors of pullback. User errors say where, what was met, and what to write instead."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .program import Span


class PullbackError(Exception):
    """Base of every error that pullback raises on purpose."""

    def __init__(self, message: str, span: Span | None = None):
        self.bare_message = message
        self.span = span
        if span is not None:
            message = f'{message}\n  File "{span.file}", line {span.line}\n    {span.text}'
        super().__init__(message)


class IRError(PullbackError):
    """A program that breaks a rule of the IR: a defect of pullback, unless the text was written by hand."""


class TypeMismatch(PullbackError, TypeError):
    """A value of the wrong type: an int where a float is differentiated, arms of an if that differ."""


class ShapeMismatch(PullbackError, ValueError):
    """Shapes that do not go together."""


class UnsupportedFunction(PullbackError, TypeError):
    """A function that pullback cannot trace."""


class UnsupportedSyntax(PullbackError, SyntaxError):
    """Python that pullback cannot stage."""


class TracedValueError(PullbackError, TypeError):
    """Python asked a traced value for something only a concrete one has, such as bool(x)."""


class ArgumentError(PullbackError, ValueError):
    """An option of a transform that cannot be: a number out of range, two that exclude each other."""


class NotFinite(PullbackError, FloatingPointError):
    """A NaN or an inf, where `options(check_nan=True)` looks for the first one."""


class BoundsError(PullbackError, IndexError):
    """An index out of range."""
