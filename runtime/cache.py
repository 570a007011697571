"""The disk cache: text and machine code by key, in one directory of files that check themselves.

Every file is a line with the sha256 of the rest, then the rest. Whatever is not that (cut short, changed,
put there by somebody else) does not exist for the reader and is overwritten by the next write. Writes go
to a temporary file that replaces the old one in one step, so two processes may write at once. The cache
only saves time: no failure to read or write it is an error.
"""

from __future__ import annotations

import contextlib
import functools
import getpass
import hashlib
import importlib.util
import json
import os
import platform
import stat
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from . import options

MAGIC = b"pullback-cache-1 "
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
    try:
        content = path.read_bytes()
    except (OSError, ValueError):
        return None
    head, newline, data = content.partition(b"\n")
    if not newline or head != MAGIC + _digest(data).encode():
        return None
    return data


def write(path: Path, data: bytes) -> bool:
    """Write in one step, with the checksum; False if the disk does not let us."""
    return replace_file(path, MAGIC + _digest(data).encode() + b"\n" + data)


def replace_file(path: Path, content: bytes) -> bool:
    """Put `content` at `path` in one step: a reader sees the old file or the new one, never a part."""
    temporary = None
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


def clear(cache_dir: Path | None = None) -> int:
    """Delete the files of the cache, and nothing else in its directory; how many there were."""
    count = 0
    folder = directory(cache_dir)
    for path in sorted(folder.glob("*")) if folder.is_dir() else ():
        ours = path.suffix in (ENTRY, MACHINE, TRACE) or path.name.startswith(".tmp-") or _is_generated(path)
        if ours and path.is_file():
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
