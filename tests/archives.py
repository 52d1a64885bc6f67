"""Source archives as a package registry serves them, made in memory."""

import io
import tarfile


def make_archive(members):
    """A .tar.gz of {path: content}"""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()
