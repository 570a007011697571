"""Locks and forks: a child has one thread, the one that forked, and what the others held or had half done stays so.

Our own locks are free in a child. What cannot be put right there (a module that another thread imports, the compiler's
state) is not begun when a fork happens: the fork waits until no other thread makes a program.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

POLITE = 1.0
"""Seconds for which a thread that begins to make a program lets a fork go first."""

_locks: weakref.WeakSet[Any] = weakref.WeakSet()
_foreign: list[Any] = []
_turn = threading.Condition()
_makers: dict[int, int] = {}
"""The threads that make programs, and how many blocks of `making` each has open."""
_forking: list[int] = []
"""The threads that want to fork."""
_held: list[Any] = []


def make() -> Any:
    """A reentrant lock that is free in a forked child."""
    lock = threading.RLock()
    _locks.add(lock)
    return lock


def held_in_forks(lock: Any) -> None:
    """Let no fork happen while another thread holds this lock of another library."""
    _foreign.append(lock)


@contextmanager
def making() -> Iterator[None]:
    """A block in which this thread imports or compiles: forks by other threads wait for its end."""
    me = threading.get_ident()
    with _turn:
        if me not in _makers and _forking:
            _turn.wait_for(lambda: not _forking, POLITE)
        _makers[me] = _makers.get(me, 0) + 1
    try:
        yield
    finally:
        with _turn:
            _makers[me] -= 1
            if not _makers[me]:
                del _makers[me]
                _turn.notify_all()


def _before() -> None:
    me = threading.get_ident()
    _turn.acquire()
    _forking.append(me)
    while not _quiet():
        _turn.wait(0.01)  # nobody says when a lock of another library is free


def _quiet() -> bool:
    """Does nobody else make anything? Then the locks of others are held, and so is `_turn`."""
    if any(thread not in _forking for thread in _makers):
        return False
    for lock in _foreign:
        if not lock.acquire(blocking=False):
            _let_go()
            return False
        _held.append(lock)
    return True


def _let_go() -> None:
    while _held:
        _held.pop().release()


def _after_in_parent() -> None:
    _let_go()
    _forking.remove(threading.get_ident())
    _turn.notify_all()
    _turn.release()


def _after_in_child() -> None:
    global _turn
    me = threading.get_ident()
    _let_go()
    _turn = threading.Condition()
    _forking.clear()
    for thread in list(_makers):
        if thread != me:
            del _makers[thread]
    for lock in list(_locks):
        lock._at_fork_reinit()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child)
