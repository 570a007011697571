"""`pb.explain`: a page that shows a gradient at every stage and steps through its execution."""

from .page import Explanation, explain

__all__ = ["Explanation", "explain"]
