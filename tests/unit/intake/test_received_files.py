"""Files of reporting people are known by their content, and a photo keeps nothing but what it shows."""

import subprocess
import sys
from io import BytesIO
from pathlib import PurePath
from struct import pack
from typing import Any
from zlib import crc32

import pytest
from PIL import Image

from simpul_intake.received_files import (
    LONGEST_SIDE,
    MAX_DOCUMENT_BYTES,
    MAX_PHOTO_BYTES,
    MAX_PIXELS,
    FileProblem,
    FileRefused,
    UploadedFile,
    read_files,
)

PLACE = "Wenthilora-7.8166S"


def a_photo(kind: str = "JPEG", size: tuple[int, int] = (40, 20), mode: str = "RGB", **options: Any) -> bytes:
    encoded = BytesIO()
    Image.new(mode, size).save(encoded, kind, **options)
    return encoded.getvalue()


def tagged(**options: Any) -> bytes:
    """A photo that was turned by the camera and names a place in every way that its format has."""
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, PLACE
    exif.get_ifd(0x8825)[29] = PLACE
    return a_photo(exif=exif, comment=PLACE, **options)


def that_claims(side: int) -> bytes:
    """A small photo that says that it is a square of this many pixels."""
    photo = a_photo("PNG")
    header = b"IHDR" + pack(">II", side, side) + photo[24:29]
    return photo[:12] + header + pack(">I", crc32(header)) + photo[33:]


def read(content: bytes, name: str = "foto.png") -> Any:
    return read_files([UploadedFile(name, content)])[0]


def test_a_photo_keeps_no_place_no_comment_and_stands_upright() -> None:
    content = tagged()
    assert PLACE.encode() in content

    kept = read(content, "C:\\DCIM\\anak\x00.HEIC")

    assert PLACE.encode() not in kept.content
    assert b"Exif" not in kept.content
    picture = Image.open(BytesIO(kept.content))
    assert (picture.size, picture.format, dict(picture.getexif())) == ((20, 40), "JPEG", {})
    assert (kept.name, kept.media_type) == ("anak.jpg", "image/jpeg")


@pytest.mark.parametrize(
    ("kind", "mode"), [("PNG", "RGBA"), ("PNG", "P"), ("PNG", "I;16"), ("WEBP", "RGB"), ("JPEG", "CMYK")]
)
def test_every_kind_of_photo_becomes_a_jpeg_of_a_limited_size(kind: str, mode: str) -> None:
    kept = read(a_photo(kind, (LONGEST_SIDE + 500, 100), mode))

    assert Image.open(BytesIO(kept.content)).size == (LONGEST_SIDE, 80)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA"])
def test_the_largest_picture_leaves_memory_for_the_service(mode: str) -> None:
    program = (
        "import sys\n"
        "from resource import RUSAGE_SELF, getrusage\n"
        "from simpul_intake.received_files import UploadedFile, read_files\n"
        "content, before = sys.stdin.buffer.read(), getrusage(RUSAGE_SELF).ru_maxrss\n"
        "read_files([UploadedFile('foto.png', content)])\n"
        "print(getrusage(RUSAGE_SELF).ru_maxrss - before)\n"
    )
    content = a_photo("PNG", (6_000, MAX_PIXELS // 6_000), mode)

    done = subprocess.run([sys.executable, "-c", program], input=content, capture_output=True, check=True)

    assert int(done.stdout) < 250 * 1024


def test_a_document_is_kept_as_it_is() -> None:
    kept = read(b"%PDF-1.7\nsurat", "../../surat visum.exe")

    assert (kept.name, kept.media_type, kept.content) == ("surat visum.pdf", "application/pdf", b"%PDF-1.7\nsurat")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", FileProblem.EMPTY),
        (b"<svg onload=alert(1)>", FileProblem.WRONG_KIND),
        (a_photo("GIF"), FileProblem.WRONG_KIND),
        (b"MZ\x90\x00" + bytes(500), FileProblem.WRONG_KIND),
        (a_photo("PNG", (300, 300))[:80], FileProblem.DAMAGED),
        (bytes(MAX_PHOTO_BYTES + 1), FileProblem.TOO_LARGE),
        (b"%PDF-1.7" + bytes(MAX_DOCUMENT_BYTES), FileProblem.TOO_LARGE),
        (that_claims(5_000), FileProblem.TOO_MANY_PIXELS),
        # A hundred bytes that would fill the memory.
        (that_claims(60_000), FileProblem.TOO_MANY_PIXELS),
    ],
    ids=lambda one: one.value if isinstance(one, FileProblem) else "",
)  # fmt: skip
def test_what_is_no_photo_and_no_document_is_refused_with_its_number(content: bytes, problem: FileProblem) -> None:
    good = UploadedFile("a.jpg", a_photo())

    with pytest.raises(FileRefused) as refused:
        read_files([good, UploadedFile("b.jpg", content)])

    assert (refused.value.problem, refused.value.number) == (problem, 2)


@pytest.mark.parametrize("name", ["", "...", "/", "a" * 900, "\n\r", "foto"])
def test_no_name_is_a_path_or_empty(name: str) -> None:
    kept = read(a_photo(), name).name

    assert PurePath(kept).name == kept
    assert kept.endswith(".jpg")
    assert 4 < len(kept) < 110
