"""Files that are either written whole or not at all."""

import os
import re
import secrets
from contextlib import contextmanager, suppress
from pathlib import Path


def cache_folder():
    """Where downloads are kept: ``$FASTDL_CACHE``, else ``fastdl`` in ``$XDG_CACHE_HOME``, else in ``~/.cache``.

    Example:
        >>> cache_folder().is_absolute()
        True
    """
    named = os.environ.get("FASTDL_CACHE")
    if named:
        return Path(named).absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "fastdl").absolute()


@contextmanager
def atomic_write(path):
    """Open a binary file that takes the place of ``path`` only once its block has ended without an error.

    The bytes go to a temporary file in the same folder, which is flushed to the disk (``fsync``) and then renamed, so
    a reader sees the old file or the new one, never a part. On any error (a full disk, Ctrl-C) the temporary file is
    removed and the old file stays as it was.

    Args:
        path: where the file shall be; its folder must exist. A symbolic link is followed.

    Raises:
        OSError: no such folder, no permission, no space left.

    Example:
        >>> import os, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with atomic_write(os.path.join(folder, "note.txt")) as file:
        ...         _ = file.write(b"hello")
        ...     os.listdir(folder)
        ['note.txt']
    """
    path = os.path.realpath(path)
    folder, name = os.path.split(path)
    if not os.path.isdir(folder):
        raise FileNotFoundError(f"cannot write {path}: there is no folder {folder}")
    if os.path.isdir(path):
        raise IsADirectoryError(f"cannot write {path}: it is a folder")
    temporary = os.path.join(folder, f".{name}.{secrets.token_hex(6)}.tmp")
    file = open(temporary, "xb")
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        with suppress(OSError):
            os.unlink(temporary)
        if isinstance(error, OSError) and error.filename is None:
            error.filename = path  # a full disk is reported without the file's name
        raise
    with suppress(OSError):  # the rename itself reaches the disk where the file system can sync a folder
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def remove_leftovers(folder):
    """Remove the temporary files of writers that were killed. Nobody may be writing into the folder.

    Example:
        >>> import os, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     open(os.path.join(folder, ".note.txt.0123456789ab.tmp"), "w").close()
        ...     remove_leftovers(folder)
        ...     os.listdir(folder)
        []
    """
    for name in os.listdir(folder):
        if re.fullmatch(r"\..+\.[0-9a-f]{12}\.tmp", name):
            os.unlink(os.path.join(folder, name))
