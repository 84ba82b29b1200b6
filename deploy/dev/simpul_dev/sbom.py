"""What each image carries: its packages, their versions and licences, as CycloneDX documents.

The Python packages are read by `cyclonedx-py`, those of Debian from the list of dpkg. The images are not run, because
an image may lack what would list its content.
"""

import json
import subprocess
import tarfile
import tempfile
import venv
from collections.abc import Iterator, Sequence
from email.parser import Parser
from io import BytesIO
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

_ENVIRONMENT: Final = "/opt/simpul/lib"
_DEBIAN: Final = "/var/lib/dpkg/status"


class NotRead(Exception):
    """An image cannot be read; the message says why and what to do."""


def write(images: Sequence[str], folder: Path) -> Iterator[Path]:
    """Writes `<image>.cdx.json` of each image, and yields its path; raises NotRead."""
    folder.mkdir(parents=True, exist_ok=True)
    for image in images:
        document = document_of(image)
        path = folder / f"{image.partition(':')[0]}.cdx.json"
        path.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        yield path


def document_of(image: str) -> dict[str, Any]:
    """Returns the CycloneDX document of an image; raises NotRead."""
    container = _run("docker", "create", "--pull=never", image).decode().strip()
    try:
        environment, debian = _copy(container, _ENVIRONMENT), _copy(container, _DEBIAN)
    finally:
        _run("docker", "rm", container)
    document = _python_document(environment)
    name, _, version = image.partition(":")
    subject = {"type": "container", "bom-ref": image, "name": name, "version": version}
    document.setdefault("metadata", {})["component"] = subject
    document["components"] += [component(fields) for fields in debian_packages(_only_file(debian))]
    return document


def debian_packages(status: str) -> Iterator[dict[str, str]]:
    """Yields the fields of each installed package in a status file of dpkg."""
    for paragraph in status.strip().split("\n\n"):
        fields = dict(Parser().parsestr(paragraph).items())
        if fields.get("Status", "").endswith(" installed"):
            yield fields


def component(fields: dict[str, str]) -> dict[str, str]:
    """Returns a Debian package as a component; its licences are in the image, in /usr/share/doc/NAME/copyright."""
    name, version, architecture = fields["Package"], fields["Version"], fields["Architecture"]
    url = f"pkg:deb/debian/{quote(name, safe='')}@{quote(version, safe='')}?arch={quote(architecture, safe='')}"
    return {"type": "library", "bom-ref": url, "name": name, "version": version, "purl": url}


def _python_document(libraries: bytes) -> dict[str, Any]:
    """Returns the document of the packages in an archive of `lib/`, as if they were installed here."""
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder) / "environment"
        venv.create(here, with_pip=False, symlinks=True)
        [packages] = (here / "lib").glob("python*/site-packages")
        packages.rmdir()
        with tarfile.open(fileobj=BytesIO(libraries)) as archive:
            # Python before 3.11.4 knows no filters, and ignores the attribute.
            archive.extraction_filter = getattr(tarfile, "data_filter", None)
            archive.extractall(folder)  # noqa: S202 - the image was built here
        [found] = Path(folder).glob("lib/python*/site-packages")
        found.rename(packages)
        command = ("cyclonedx-py", "environment", "--output-reproducible", str(here / "bin" / "python"))
        document: dict[str, Any] = json.loads(_run(*command))
    return document


def _copy(container: str, path: str) -> bytes:
    return _run("docker", "cp", f"{container}:{path}", "-")


def _only_file(archive: bytes) -> str:
    with tarfile.open(fileobj=BytesIO(archive)) as files:
        content = files.extractfile(files.getmembers()[0])
        return content.read().decode() if content else ""


def _run(*command: str) -> bytes:
    try:
        return subprocess.run(command, check=True, capture_output=True).stdout
    except FileNotFoundError as error:
        message = f"{command[0]} is not installed; `make sbom` sets up what it needs but Docker"
        raise NotRead(message) from error
    except subprocess.CalledProcessError as error:
        message = f"`{' '.join(command)}` failed: {error.stderr.decode(errors='replace').strip()[-500:]}"
        raise NotRead(message) from error
