"""The disk cache: text and machine code by key, in one directory of files that check themselves.

Every file is a line with a seal of the rest (HMAC-SHA256 with a key of the user's own), then the rest. Whatever is not
that (cut short, changed, put there by somebody else) does not exist for the reader and is overwritten by the next
write. Writes go to a temporary file that replaces the old one in one step, so two processes may write at once. The
cache only saves time: no failure to read or write it is an error.
"""

from __future__ import annotations

import contextlib
import functools
import getpass
import hashlib
import hmac
import importlib.util
import json
import logging
import os
import platform
import secrets
import stat
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from . import options

MAGIC = b"pullback-cache-2 "
LIMIT_BYTES = 1 << 30  # the oldest files go when the directory grows past this
_STALE_SECONDS = 3600.0  # a temporary file older than this was left by a process that died


# -- where -----------------------------------------------------------------------------------------


def directory(cache_dir: str | os.PathLike[str] | None = None) -> Path:
    """The cache directory: the argument, the option, $PULLBACK_CACHE_DIR, or the user's own.

    If the user's own cannot be written (a read-only home), a private one among the temporary files.
    """
    chosen = cache_dir or options.current().cache_dir or os.environ.get("PULLBACK_CACHE_DIR")
    if chosen:
        return Path(chosen).expanduser().absolute()
    return _user_directory(_platform_directory())


def _platform_directory() -> Path:
    home = Path(os.path.expanduser("~"))
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA")
        return (Path(local) if local else home / "AppData" / "Local") / "pullback" / "Cache"
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "pullback"
    return Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache") / "pullback"


@functools.lru_cache(maxsize=8)
def _user_directory(preferred: Path) -> Path:
    if preferred.is_absolute() and _usable(preferred):
        return preferred
    shared = Path(tempfile.gettempdir()) / f"pullback-{_user()}"
    # Machine code is loaded from here: the directory must be ours and closed to others.
    return shared if _usable(shared, private=True) else Path(tempfile.mkdtemp(prefix="pullback-"))


def _user() -> str:
    try:
        return str(os.getuid()) if hasattr(os, "getuid") else getpass.getuser()
    except (KeyError, OSError, ImportError):
        return "user"


def trusted(folder: Path) -> bool:
    """May what lies in this directory be loaded? Machine code and programs in it run: nobody else may write there."""
    if not hasattr(os, "getuid"):
        return True
    try:
        status = folder.stat()
    except (OSError, ValueError):
        return True  # there is none yet: it will be ours
    ours = status.st_uid in (os.getuid(), 0) and not status.st_mode & 0o022
    if not ours:
        _say_untrusted(folder)
    return ours


@functools.lru_cache(maxsize=64)
def _say_untrusted(folder: Path) -> None:
    logging.getLogger("pullback").warning(
        "the cache directory %s is not used: others can write there, and what is in it would be run. "
        "chmod go-w %s, or choose another one",
        folder, folder,
    )  # fmt: skip


def _usable(path: Path, private: bool = False) -> bool:
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if private and hasattr(os, "getuid"):
            status = path.lstat()
            if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o077:
                return False
        with tempfile.TemporaryFile(dir=path):
            return True
    except (OSError, ValueError):
        return False


# -- files that check themselves -------------------------------------------------------------------


def read(path: Path) -> bytes | None:
    """The content of a file that `write` wrote; None if there is none or it was touched."""
    if not trusted(path.parent):
        return None
    try:
        content = path.read_bytes()
    except (OSError, ValueError):
        return None
    head, newline, data = content.partition(b"\n")
    if not newline or not hmac.compare_digest(head, MAGIC + _seal(data)):
        return None
    return data


def write(path: Path, data: bytes) -> bool:
    """Write in one step, with the checksum; False if the disk does not let us."""
    return replace_file(path, MAGIC + _seal(data) + b"\n" + data)


def replace_file(path: Path, content: bytes) -> bool:
    """Put `content` at `path` in one step: a reader sees the old file or the new one, never a part."""
    temporary = None
    if not trusted(path.parent):
        return False
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=".tmp-", dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.replace(temporary, path)
    except (OSError, ValueError):
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
        return False
    _tidy(path.parent)
    return True


def _seal(data: bytes) -> bytes:
    return hmac.new(_secret(), data, hashlib.sha256).hexdigest().encode()


def _secret() -> bytes:
    """What this user's files are sealed with: what somebody else puts into a cache directory is not loaded.

    $PULLBACK_CACHE_KEY, for a cache that several users or machines share on purpose; else a file of the user's own.
    """
    given = os.environ.get("PULLBACK_CACHE_KEY")
    return given.encode("utf-8", "surrogateescape") if given else _own_secret(_user_directory(_platform_directory()))


@functools.lru_cache(maxsize=8)
def _own_secret(folder: Path) -> bytes:
    place = folder / "key"
    with contextlib.suppress(OSError):
        if len(kept := place.read_bytes()) == 32:
            return kept
    fresh = secrets.token_bytes(32)
    temporary = None
    try:
        handle, temporary = tempfile.mkstemp(prefix=".tmp-", dir=folder)  # readable by its owner alone
        with os.fdopen(handle, "wb") as file:
            file.write(fresh)
        if place.exists():  # it was damaged
            place.unlink()
        os.link(temporary, place)
    except OSError:  # another process was faster, or there are no links here: then what counts is what is there
        with contextlib.suppress(OSError):
            if not place.exists() and temporary is not None:
                os.replace(temporary, place)
        with contextlib.suppress(OSError):
            fresh = place.read_bytes()
    if temporary is not None:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
    return fresh


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@functools.lru_cache(maxsize=64)
def _tidy(folder: Path, limit: int = LIMIT_BYTES) -> None:
    """Once per process and directory: drop what dead writers left, and the oldest files beyond the limit."""
    files = []
    now = time.time()
    try:
        for entry in os.scandir(folder):
            with contextlib.suppress(OSError):
                if not entry.is_file(follow_symlinks=False):
                    continue
                status = entry.stat(follow_symlinks=False)
                if entry.name.startswith(".tmp-"):
                    if now - status.st_mtime > _STALE_SECONDS:
                        os.unlink(entry.path)
                elif entry.name.endswith(SUFFIXES):
                    files.append((status.st_mtime, status.st_size, entry.path))
    except OSError:
        return
    total = sum(size for _, size, _ in files)
    for _, size, name in sorted(files):
        if total <= limit:
            break
        with contextlib.suppress(OSError):
            os.unlink(name)
            total -= size


# -- entries ---------------------------------------------------------------------------------------

ENTRY, MACHINE, SOURCE, TRACE = ".entry", ".machine", ".py", ".trace"
SUFFIXES = (ENTRY, MACHINE, SOURCE, TRACE)


def key(*parts: str) -> str:
    """A key from texts (a program, options, ...) and everything else that decides what they give."""
    digest = hashlib.sha256(fingerprint().encode())
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        digest.update(b"%d:" % len(data) + data)
    return digest.hexdigest()[:32]


def lookup(key: str, cache_dir: Path | None = None) -> dict[str, Any] | None:
    """What `store` kept under this key, or None."""
    if not options.current().cache:
        return None
    data = read(directory(cache_dir) / (key + ENTRY))
    if data is None:
        return None
    try:
        entry = json.loads(data)
    except (ValueError, RecursionError):
        return None
    # The key is in the file too: a file that was renamed or copied is somebody else's.
    if not isinstance(entry, dict) or entry.get("key") != key or not isinstance(entry.get("payload"), dict):
        return None
    return entry["payload"]


def store(key: str, payload: dict[str, Any], cache_dir: Path | None = None) -> None:
    """Keep a payload of JSON values under a key, if the disk lets us."""
    if options.current().cache:
        text = json.dumps({"key": key, "payload": payload}, indent=1)
        write(directory(cache_dir) / (key + ENTRY), text.encode())


def ours(cache_dir: Path | None = None) -> list[Path]:
    """The files of the cache, as far as they are pullback's."""
    folder = directory(cache_dir)
    files = sorted(folder.glob("*")) if folder.is_dir() else []
    suffixes = (ENTRY, MACHINE, TRACE)
    found = [p for p in files if p.suffix in suffixes or p.name.startswith(".tmp-") or _is_generated(p)]
    return [p for p in found if p.is_file()]


def clear(cache_dir: Path | None = None) -> int:
    """Delete the files of the cache, and nothing else in its directory; how many there were."""
    count = 0
    for path in ours(cache_dir):
        with contextlib.suppress(OSError):
            path.unlink()
            count += 1
    return count


def _is_generated(path: Path) -> bool:
    digest = path.stem.rpartition("_")[2]
    return path.suffix == SOURCE and len(digest) == 32 and all(c in "0123456789abcdef" for c in digest)


# -- versions --------------------------------------------------------------------------------------


_HARMLESS = ("NUMBA_NUM_THREADS", "NUMBA_CACHE_DIR")  # settings that do not change the code


@functools.lru_cache(maxsize=1)
def fingerprint() -> str:
    """One line for everything but the program that decides what is generated and how it compiles.

    The files of pullback itself count by size and time, so that a changed pass is never answered from
    what the old one wrote.
    """
    parts = [
        f"python {sys.version}", sys.platform, platform.machine(), f"numpy {np.__version__}",
        f"numba {_installed('numba')}", f"llvmlite {_installed('llvmlite')}", _processor(),
    ]  # fmt: skip
    parts += [
        f"{k}={v}" for k, v in sorted(os.environ.items()) if k.startswith("NUMBA_") and k not in _HARMLESS
    ]
    package = __name__.partition(".")[0]
    for name in (package, *(f"{package}.{room}" for room in ("tracer", "ir", "codegen", "runtime"))):
        spec = importlib.util.find_spec(name)
        for folder in (spec.submodule_search_locations or ()) if spec else ():
            for file in sorted(Path(folder).rglob("*.py")):
                with contextlib.suppress(OSError):
                    status = file.stat()
                    parts.append(f"{name}/{file.relative_to(folder)} {status.st_size} {status.st_mtime_ns}")
    return _digest("\n".join(parts).encode())


def _installed(package: str) -> str:
    """The version of a package, without importing it (`import numba` takes a third of a second)."""
    # importlib.metadata.version costs 15 ms for its imports; the folder beside the package tells the same.
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        return "none"
    site = Path(spec.origin).parent.parent
    found = sorted(p.name for p in site.glob(f"{package}-*.dist-info"))
    return found[-1] if found else str(Path(spec.origin).stat().st_mtime_ns)


def _processor() -> str:
    """The processor model: machine code is for one kind (numba adds its exact features to its key)."""
    try:
        with open("/proc/cpuinfo") as file:
            lines = file.read(8192).splitlines()
        return "\n".join([line for line in lines if line.startswith(("model name", "flags"))][:2])
    except OSError:
        return platform.processor()
