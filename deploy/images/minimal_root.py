"""Copies what a service needs of the system into a folder that becomes the root of its image.

Python and its library, the shared libraries that it and an environment load, certificates, time zones and the names
of accounts: no shell, no package manager, no other program. Of Debian's list of packages it keeps those whose files
are there, so that the list of what an image carries stays true.

    python minimal_root.py TARGET ENVIRONMENT
"""

import compileall
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_UNUSED: Final = frozenset(
    {"test", "idlelib", "tkinter", "turtledemo", "turtle.py", "ensurepip", "distutils", "lib2to3", "pydoc_data",
     "dbm", "curses", "site-packages", "dist-packages", "__pycache__"}
)  # fmt: skip
"""Parts of Python's library that no service imports."""
_UNUSED_MODULES: Final = re.compile(
    r"(_tkinter|_test|_ctypes_test|_xx|xx|_dbm|_gdbm|_curses|nis|ossaudiodev|spwd)\w*\."
)
"""Compiled modules that no service imports; some load a graphical system or a directory service."""
_SETTINGS: Final = (
    "/etc/debian_version",
    "/etc/ld.so.cache",
    "/etc/nsswitch.conf",
    "/etc/os-release",
    "/etc/passwd",
    "/etc/group",
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/ssl/openssl.cnf",
    "/usr/lib/os-release",
)
_STATUS: Final = Path("/var/lib/dpkg/status")
_LISTS: Final = Path("/var/lib/dpkg/info")


def main(target: Path, environment: Path) -> None:
    """Fills the target with what the Python of the environment needs to run it."""
    for name in ("bin", "lib", "lib64", "sbin"):
        if Path("/", name).is_symlink():
            target.mkdir(parents=True, exist_ok=True)
            (target / name).symlink_to(Path("/", name).readlink())
    files = {*_interpreter(environment), *_library(), *_shared_libraries(environment), *_time_zones()}
    files.update(path for path in map(Path, _SETTINGS) if path.exists())
    for path in sorted(files):
        _copy(path, target)
    (target / "tmp").mkdir(mode=0o1777)
    (target / "tmp").chmod(0o1777)
    library = target / _stdlib().relative_to("/")
    compileall.compile_dir(library, quiet=1, stripdir=str(target), prependdir="/")
    _keep_packages(target, files)


def _stdlib() -> Path:
    return Path(sysconfig.get_path("stdlib"))


def _interpreter(environment: Path) -> Iterator[Path]:
    """Yields the program of the environment's Python, and each link on the way to it."""
    path = environment / "bin" / "python"
    while path.is_symlink():
        path = path.parent / path.readlink()
        yield path


def _library() -> Iterator[Path]:
    for path in _stdlib().rglob("*"):
        parts = path.relative_to(_stdlib()).parts
        unused = not _UNUSED.isdisjoint(parts) or parts[0].startswith("config-") or _UNUSED_MODULES.match(path.name)
        if path.is_file() and not unused:
            yield path


def _shared_libraries(environment: Path) -> Iterator[Path]:
    """Yields what the loader finds outside the environment for the interpreter and for every compiled module."""
    named = [*_library(), *environment.rglob("*.so*")]
    modules = [Path(sys.executable).resolve(), *(path for path in named if re.search(r"\.so[\d.]*$", path.name))]
    listed = subprocess.run(["ldd", *map(str, modules)], check=True, capture_output=True, text=True).stdout
    # Loaded by name when a thread ends.
    yield from Path("/lib").glob("*/libgcc_s.so.1")
    for name in set(re.findall(r"(/\S+) \(0x", listed)):
        if not Path(name).resolve().is_relative_to(environment):
            yield Path(name)


def _time_zones() -> Iterator[Path]:
    root = Path("/usr/share/zoneinfo")
    for path in root.rglob("*"):
        if path.is_file() and path.relative_to(root).parts[0] not in ("right", "posix"):
            yield path


def _copy(path: Path, target: Path) -> None:
    """Copies a file to the folder that it really is in; a link keeps the name that others know."""
    copy = target / path.parent.resolve().relative_to("/") / path.name
    copy.parent.mkdir(parents=True, exist_ok=True)
    if copy.exists():
        return
    if path.is_symlink() and path.resolve().parent == path.parent.resolve():
        copy.symlink_to(path.readlink())
        _copy(path.resolve(), target)
    else:
        shutil.copy2(path, copy)


def _keep_packages(target: Path, files: set[Path]) -> None:
    """Writes the list of Debian's packages that have a file in the target, and copies what says their licences."""
    if not _STATUS.exists():
        return
    there = {str(path.parent.resolve() / path.name) for path in files} | {str(path.resolve()) for path in files}
    names = {
        path.name.removesuffix(".list").partition(":")[0]
        for path in _LISTS.glob("*.list")
        if there & set(map(_real, path.read_text().splitlines()))
    }
    status = target / _STATUS.relative_to("/")
    status.parent.mkdir(parents=True)
    paragraphs = _STATUS.read_text().strip().split("\n\n")
    kept = [one for one in paragraphs if (found := re.match(r"Package: (\S+)", one)) and found[1] in names]
    status.write_text("\n\n".join(kept) + "\n")
    for name in names:
        licence = Path("/usr/share/doc", name, "copyright")
        if licence.exists():
            copy = target / licence.relative_to("/")
            copy.parent.mkdir(parents=True)
            shutil.copy2(licence, copy)


def _real(listed: str) -> str:
    """Returns a path as it is where /lib is a link to /usr/lib, which older lists of packages do not know."""
    return re.sub(r"^/(lib|lib64|bin|sbin)/", r"/usr/\1/", listed) if Path("/lib").is_symlink() else listed


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
