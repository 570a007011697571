"""Pictures of sparsity patterns: as text and as SVG, coarser where a pattern is large."""

from __future__ import annotations

import numpy as np

MARKS = " ░▒▓█"


def counted(
    shape: tuple[int, int], rows: np.ndarray, columns: np.ndarray, most: tuple[int, int]
) -> np.ndarray:
    """How full each cell of a grid of at most so many cells is, from 0 to 1."""
    grid = tuple(max(1, min(size, limit)) for size, limit in zip(shape, most))
    places = []
    sizes = []
    for numbers, size, cells in zip((rows, columns), shape, grid):
        places.append(numbers.astype(np.int64) * cells // max(1, size))
        sizes.append(np.bincount(np.arange(size, dtype=np.int64) * cells // max(1, size), minlength=cells))
    counts = np.bincount(places[0] * grid[1] + places[1], minlength=grid[0] * grid[1]).reshape(grid)
    return counts / np.maximum(1, np.outer(*sizes))


def text(
    shape: tuple[int, int], rows: np.ndarray, columns: np.ndarray, height: int = 20, width: int = 40
) -> str:
    """The pattern in a frame: dots where it is small enough to show each entry, shades where it is not."""
    full = counted(shape, rows, columns, (height, width))
    small = shape[0] <= height and shape[1] <= width
    lines = []
    for row in full:
        if small:
            lines.append(" ".join("●" if cell else "·" for cell in row))
        else:
            lines.append("".join(MARKS[int(np.ceil(cell * (len(MARKS) - 1)))] for cell in row))
    wide = max(map(len, lines), default=0)
    return "\n".join([f"┌{'─' * wide}┐", *(f"│{line:{wide}}│" for line in lines), f"└{'─' * wide}┘"])


def svg(
    shape: tuple[int, int], rows: np.ndarray, columns: np.ndarray, colours: np.ndarray | None = None,
    title: str = "", most: int = 200,
) -> str:  # fmt: skip
    """The pattern as a picture; with `colours`, each column in its own where there are few."""
    full = counted(shape, rows, columns, (most, most))
    height, width = full.shape
    cell = max(1.0, round(320 / max(height, width), 2))
    paint = colours is not None and shape[1] == width
    squares = []
    for i, j in zip(*np.nonzero(full)):
        fill = f' fill="hsl({int(colours[j]) * 137 % 360} 60% 45%)"' if paint and colours is not None else ""
        strength = "" if full[i, j] == 1 else f' opacity="{0.3 + 0.7 * full[i, j]:.2f}"'
        squares.append(
            f'<rect x="{j * cell:g}" y="{i * cell:g}" width="{cell:g}" height="{cell:g}"{fill}{strength}/>'
        )
    w, h = width * cell, height * cell
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-1 -1 {w + 2:g} {h + 2:g}" width="{w + 2:g}" '
        f'height="{h + 2:g}" fill="#345"><title>{title}</title><rect width="{w:g}" height="{h:g}" fill="none" '
        f'stroke="#999"/>{"".join(squares)}</svg>'
    )
