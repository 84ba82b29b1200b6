"""Files of reporting people: which are taken, and what is left of them.

A photo is drawn again, so that nothing travels with it but what it shows: no place, no time, no name of a telephone.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from io import BytesIO
from typing import Final

MAX_FILES: Final = 6
"""Files of one report."""
MAX_PHOTO_BYTES: Final = 10 * 1024 * 1024
"""Of a photo as it is sent; what is kept is smaller."""
MAX_DOCUMENT_BYTES: Final = 3 * 1024 * 1024
"""Of a document, which is kept as it is."""
MAX_PIXELS: Final = 24_000_000
"""Of a photo, checked before it is decoded: a small file may describe a picture that fills the memory."""
LONGEST_SIDE: Final = 2_000
"""Pixels of the longer side of what is kept: a page that was photographed stays readable."""
MAX_NAME: Final = 100
"""Characters of a name, without its ending."""
_QUALITY: Final = 80
_PHOTO_FORMATS: Final = ("JPEG", "PNG", "WEBP")
_DOCUMENT_START: Final = b"%PDF-"


class FileProblem(StrEnum):
    """Why a file is not taken."""

    EMPTY = "empty"
    WRONG_KIND = "wrong_kind"
    DAMAGED = "damaged"
    TOO_LARGE = "too_large"
    TOO_MANY_PIXELS = "too_many_pixels"
    TOO_MANY = "too_many"
    """The report has as many files as it may have."""


class FileRefused(Exception):
    """A file is not taken; nothing of the request was stored."""

    def __init__(self, problem: FileProblem, number: int = 0) -> None:
        super().__init__(problem.value)
        self.problem = problem
        self.number = number
        """Of the file in the request, counted from 1; 0 where it is about all of them."""


@dataclass(frozen=True, slots=True)
class UploadedFile:
    """A file as a browser sent it."""

    name: str = field(repr=False)
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class ReceivedFile:
    """A file as it is kept."""

    name: str = field(repr=False)
    media_type: str
    content: bytes = field(repr=False)


def read_files(uploaded: list[UploadedFile]) -> list[ReceivedFile]:
    """Reads files by their content, whatever their names claim; raises FileRefused for the first that is not taken.

    It computes for up to seconds, so it belongs in a thread.
    """
    received = []
    for number, one in enumerate(uploaded, 1):
        try:
            received.append(_read_file(one))
        except FileRefused as error:
            raise FileRefused(error.problem, number) from error
    return received


def _read_file(uploaded: UploadedFile) -> ReceivedFile:
    content = uploaded.content
    if not content:
        raise FileRefused(FileProblem.EMPTY)
    if content.startswith(_DOCUMENT_START):
        if len(content) > MAX_DOCUMENT_BYTES:
            raise FileRefused(FileProblem.TOO_LARGE)
        return ReceivedFile(_clean_name(uploaded.name, "pdf"), "application/pdf", content)
    if len(content) > MAX_PHOTO_BYTES:
        raise FileRefused(FileProblem.TOO_LARGE)
    return ReceivedFile(_clean_name(uploaded.name, "jpg"), "image/jpeg", _draw_again(content))


def _draw_again(content: bytes) -> bytes:
    """Decodes a photo and encodes its pixels alone."""
    # With the first photo, because it takes 3 MB.
    from PIL import Image, ImageOps  # noqa: PLC0415 - see above

    try:
        photo = Image.open(BytesIO(content), formats=_PHOTO_FORMATS)
    except Image.DecompressionBombError as error:
        raise FileRefused(FileProblem.TOO_MANY_PIXELS) from error
    # Pillow raises these for bytes of another kind, and others for a broken picture.
    except (OSError, ValueError, SyntaxError) as error:
        raise FileRefused(FileProblem.WRONG_KIND) from error
    with photo:
        if photo.width * photo.height > MAX_PIXELS:
            raise FileRefused(FileProblem.TOO_MANY_PIXELS)
        try:
            photo.draft("RGB", (LONGEST_SIDE, LONGEST_SIDE))
            # Made smaller before it is turned: every copy of the largest picture would take 96 MB.
            smaller: Image.Image = photo
            if photo.mode not in ("RGB", "RGBA"):
                smaller = photo.convert("RGBA")
                photo.close()
            smaller.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
            upright = ImageOps.exif_transpose(smaller)
            # A new picture has no comment, profile or place that could be saved with it.
            drawn = Image.new("RGB", upright.size, "white")
            drawn.paste(upright, mask=upright if upright.mode == "RGBA" else None)
        except Exception as error:
            # Decoders of foreign bytes fail in many ways; each means that this picture cannot be read.
            raise FileRefused(FileProblem.DAMAGED) from error
    encoded = BytesIO()
    drawn.save(encoded, "JPEG", quality=_QUALITY, optimize=True)
    return encoded.getvalue()


def _clean_name(name: str, ending: str) -> str:
    """Returns a name without folders and control characters, with the ending of what the file is."""
    last = name.replace("\\", "/").rpartition("/")[2]
    printable = "".join(letter for letter in last if letter.isprintable())
    stem = printable.rpartition(".")[0] or printable
    return f"{stem[:MAX_NAME].strip(' .') or 'file'}.{ending}"
