"""Snippets of movie reviews with people's ratings."""

from pathlib import Path

from .package import read_members, sdist

_ARCHIVE = ("vaderSentiment", "3.3.2", "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9")
_INNER = "vaderSentiment-*/additional_resources/hutto_ICWSM_2014.tar.gz"
_FILE = "movieReviewSnippets_GroundTruth.txt"


def movie_reviews(data_dir=None):
    """Load 10,605 sentences of movie reviews, each with the mean of 20 people's ratings from -4 (bad) to 4 (good).

    They are read out of the source archive of the package ``vaderSentiment`` 3.3.2, which pip fetches into the cache once
    (2.5 MB); its SHA-256 is checked.

    Args:
        data_dir: folder with ``vaderSentiment-3.3.2.tar.gz``, or with a file ``movieReviewSnippets_GroundTruth.txt`` of
            one's own (see ``parse_ratings``), or None.

    Returns:
        (texts, ratings), lists of str and float.

    Raises:
        FileNotFoundError: ``data_dir`` does not exist or lacks the file.
        ValueError: the archive is damaged or another one; the file is no UTF-8 or a line is wrong.
        OSError: the download failed.

    Source: C. Hutto and E. Gilbert (2014), VADER: A Parsimonious Rule-based Model for Sentiment Analysis of Social Media
    Text, ICWSM; the sentences are those of B. Pang and L. Lee (2005). MIT License.

    Example:
        >>> texts, ratings = movie_reviews()  # doctest: +SKIP
        >>> texts[2], ratings[2]  # doctest: +SKIP
        ('Effective but too tepid biopic', -0.6)
    """
    if data_dir is not None and Path(data_dir, _FILE).is_file():
        return parse_ratings(Path(data_dir, _FILE).read_bytes())
    [inner] = read_members(sdist(*_ARCHIVE, data_dir), _INNER).values()
    [content] = read_members(inner, "*/" + _FILE).values()
    return parse_ratings(content)


def parse_ratings(content):
    """The texts and ratings in lines of number, rating and text, divided by tabs.

    Args:
        content: bytes, UTF-8.

    Returns:
        (texts, ratings), lists of str and float.

    Raises:
        ValueError: it is no UTF-8, or a line has other columns, or its rating is no number from -4 to 4.

    >>> parse_ratings(b"1\\t-0.6\\tEffective but too tepid biopic\\n")
    (['Effective but too tepid biopic'], [-0.6])
    """
    texts, ratings = [], []
    for number, line in enumerate(content.split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            _, rating, text = line.decode().split("\t")
            rating = float(rating)
            if not abs(rating) <= 4:
                raise ValueError
        except ValueError:  # of any of the three, UnicodeDecodeError too
            raise ValueError(
                f"movie_reviews: line {number} must be a number, a rating from -4 to 4 and a text, divided by tabs; "
                f"got {line[:60]!r}"
            ) from None
        texts.append(text.strip())
        ratings.append(rating)
    return texts, ratings
