"""Files that are whole or absent: atomic writes, JSON Lines with row numbers, safe relative paths."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from vision_r1.core.errors import InputError

_FAILED_WRITE = ("No space left", "unexpected pos", "I/O error", "PytorchStreamWriter failed")
_NO_ROOM = 32 * 2**20  # bytes; below this a write that failed is taken to have failed for want of room


def user_path(path: str | Path) -> Path:
    """`path` with `~` for the home folder; as it stands where there is no such user."""
    with contextlib.suppress(RuntimeError):
        return Path(path).expanduser()
    return Path(path)


# Path's own methods raise on a name that no file system could hold; a cell or an override may hold anything.
def is_there(path: Path) -> bool:
    """Whether `path` can be reached."""
    return os.path.exists(path)  # noqa: PTH110


def is_file(path: Path) -> bool:
    """Whether `path` is a file that can be reached."""
    return os.path.isfile(path)  # noqa: PTH113


def is_folder(path: Path) -> bool:
    """Whether `path` is a folder that can be reached."""
    return os.path.isdir(path)  # noqa: PTH112


def left_by_kill(path: Path, *names: str) -> bool:
    """Whether `path` is what a kill during `atomic_write_bytes` to one of `names` leaves."""
    return any(path.match(f".{name}.*.tmp") for name in names)


def atomic_write_bytes(path: Path, data: bytes) -> None:
    """Write `data` so that `path` holds either its old content or all of the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fd, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(fd, "wb") as handle:
            handle.write(data)
            handle.flush()
            os.fsync(handle.fileno())
        # mkstemp makes files private; a result is as readable as its folder allows.
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(name, 0o666 & ~umask)
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        raise


def atomic_write_text(path: Path, text: str) -> None:
    """Like `atomic_write_bytes`, in UTF-8."""
    atomic_write_bytes(path, text.encode("utf-8"))


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, atomically. NaN and infinity are refused (ValueError)."""
    atomic_write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_jsonl(path: Path, rows: Iterable[Any]) -> None:
    """Write one JSON value a line, atomically."""
    lines = [json.dumps(row, ensure_ascii=False, allow_nan=False) for row in rows]
    atomic_write_text(path, "".join(line + "\n" for line in lines))


def read_json(path: Path) -> Any:
    """Parse a JSON file. Raises InputError that names the file and line."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError("no such file", where=str(path)) from None
    except json.JSONDecodeError as error:
        raise InputError(f"not valid JSON: {error.msg}", where=f"{path}, line {error.lineno}") from None
    except UnicodeDecodeError:
        raise InputError("not UTF-8 text", where=str(path)) from None


def read_jsonl(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (line number from 1, object) of a JSON Lines file; blank lines are passed over.

    Raises:
        InputError: a line is not a JSON object, naming file and line.
    """
    try:
        handle = path.open(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError("no such file", where=str(path)) from None
    except IsADirectoryError:
        raise InputError("is a folder, not a file", where=str(path)) from None
    with handle:
        try:
            for number, line in enumerate(handle, start=1):
                if line.strip():
                    yield number, _json_object(line, f"{path}, line {number}")
        except UnicodeDecodeError:
            raise InputError("not UTF-8 text", where=str(path)) from None


def _json_object(line: str, where: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise InputError(
            f"not valid JSON: {error.msg}", where=where, fix="mend or remove this line"
        ) from None
    except (ValueError, RecursionError) as error:
        # Python refuses integers of more than 4,300 digits, and nesting beyond its stack.
        detail = "nested too deep" if isinstance(error, RecursionError) else "a number is too long"
        raise InputError(f"not valid JSON: {detail}", where=where, fix="mend or remove this line") from None
    if not isinstance(row, dict):
        raise InputError(f"expected an object, found {type(row).__name__}", where=where)
    return row


def inside(root: Path, relative: str, where: str) -> Path:
    """Resolve `relative` under `root` and refuse to leave it (also through symbolic links)."""
    base = root.resolve()
    path = (base / relative).resolve()
    if not path.is_relative_to(base):
        raise InputError(
            f"path {relative!r} leads outside its folder {root}",
            where=where,
            fix="move the file into the folder, or set `images` to one that holds all of them",
        )
    return path


def recover_directory(path: Path) -> None:
    """Undo or finish a replacement of `path` by `atomic_directory` that a kill interrupted."""
    old = path.parent / f".{path.name}.old"
    if old.is_dir():
        if path.exists():
            shutil.rmtree(old)
        else:
            os.replace(old, path)


def write_failure(error: Exception, folder: Path) -> InputError | None:
    """What to tell about an `error` that says that a file could not be written; None for any other.

    safetensors and torch have their own words for a full disk, neither of them an OSError.
    """
    text = " ".join(str(error).split())[:200]
    if isinstance(error, OSError):
        ours = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EACCES, errno.EROFS)
    elif type(error).__name__ == "SafetensorError":
        ours = any(words in text for words in _FAILED_WRITE)
    else:
        ours = isinstance(error, RuntimeError) and any(words in text for words in _FAILED_WRITE)
    if not ours:
        return None
    if isinstance(error, OSError) and error.errno in (errno.EACCES, errno.EROFS):
        place = str(error.filename or folder)
        return InputError(
            f"cannot be written: {error.strerror}", where=place, fix="name a folder you may write to"
        )
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if "No space" in text or (isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)):
        text = "the disk is full"
    elif free < _NO_ROOM:
        text = f"the disk is full ({text})"
    fix = f"{free / 1e6:,.0f} MB are free; make room and run the same command again, finished work is kept"
    return InputError(f"a file could not be written: {text}", where=str(folder), fix=fix)


@contextlib.contextmanager
def reported_writes(folder: Path) -> Iterator[None]:
    """Raise an InputError in place of what libraries raise inside the block when a disk is full."""
    try:
        yield
    except Exception as error:
        found = write_failure(error, folder)
        if found is None:
            raise
        raise found from error


@contextlib.contextmanager
def atomic_directory(path: Path) -> Iterator[Path]:
    """Give a scratch folder that becomes `path` when the block ends well, and vanishes otherwise.

    An existing `path` is replaced: it waits as `.NAME.old` until the new one is in place, so that a
    kill never loses both. What a kill leaves, `.NAME.tmp` or `.NAME.old`, the next call clears up.
    """
    scratch, old = path.parent / f".{path.name}.tmp", path.parent / f".{path.name}.old"
    recover_directory(path)
    if scratch.exists():
        shutil.rmtree(scratch)
    scratch.mkdir(parents=True)
    try:
        yield scratch
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise
    if path.exists():
        os.replace(path, old)
    os.replace(scratch, path)
    if old.exists():
        shutil.rmtree(old)
