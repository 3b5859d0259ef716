"""What compressed files hold."""

import gzip
import io
import tarfile
import zlib
from pathlib import PurePosixPath

from gridscape.errors import DataCorruptError


def unzipped(content: bytes, where: str) -> bytes:
    """The content of a .gz; raises DataCorruptError where it is not whole."""
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise DataCorruptError("not a whole gzip file", where=where, found=error) from error


def tar_members(content: bytes, where: str) -> dict[str, bytes]:
    """The files of a .tar.gz, by their names without folders; nothing is written to the disk.

    Raises DataCorruptError where the archive is not whole.
    """
    # Unzipped at once: that verifies the checksum of the whole stream, which tarfile does not.
    try:
        with tarfile.open(fileobj=io.BytesIO(unzipped(content, where)), mode="r:") as archive:
            return {
                PurePosixPath(member.name).name: file.read()
                for member in archive
                if member.isfile() and (file := archive.extractfile(member))
            }
    except tarfile.TarError as error:
        raise DataCorruptError("not a whole tar archive", where=where, found=error) from error
