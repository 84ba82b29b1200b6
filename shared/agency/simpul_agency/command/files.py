"""The files of an agency: keys, directory, settings; made by `init`, completed by `join`, renewed by `rotate-key`."""

import errno
import json
import os
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files
from pathlib import Path

from simpul_agency.enrolment import (
    Enrolment,
    Welcome,
    is_certificate_of,
    make_certificate_request,
    make_keys,
    write_json,
    write_secret,
)
from simpul_seal import Directory, KeyRing, PublicKeys

SETTINGS = "simpul-agency.env"
_PREFIX = "SIMPUL_AGENCY_"


class FilesRefused(Exception):
    """The files do not fit one another; the message says which and what to do."""


@dataclass(frozen=True)
class Files:
    """One folder for one agency."""

    folder: Path

    @property
    def settings(self) -> Path:
        """What `simpul-agency` reads where it is started."""
        return self.folder / SETTINGS

    @property
    def keys(self) -> Path:
        """The private keys."""
        return self.folder / "agency.key.json"

    @property
    def next_keys(self) -> Path:
        """The private keys of a rotation that the city has not confirmed."""
        return self.folder / "agency.next.key.json"

    @property
    def certificate_key(self) -> Path:
        """The private key for TLS."""
        return self.folder / "tls.key"

    @property
    def next_certificate_key(self) -> Path:
        """The private key for TLS of a rotation that the city has not confirmed."""
        return self.folder / "tls.next.key"

    def init(self, city: str, agency: str, now: datetime) -> tuple[Path, PublicKeys]:
        """Make keys, and the file to send to the city; FileExistsError rather than replace any."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        ring, public = make_keys(agency, now)
        ring.write(self.keys)
        return self._enrolment(f"{agency}.enrolment.json", city, public, self.certificate_key), public

    def rotate(self, city: str, agency: str, now: datetime) -> tuple[Path, PublicKeys]:
        """Make the next keys, and the file to send; the present ones go on until the city has confirmed."""
        for path in (self.next_keys, self.next_certificate_key):
            if path.exists():
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
        ring, public = make_keys(agency, now)
        ring.write(self.next_keys)
        name = f"{agency}.rotation-{now:%Y%m%d-%H%M%S}.json"
        return self._enrolment(name, city, public, self.next_certificate_key), public

    def join(self, welcome: Welcome) -> list[str]:
        """Put in place what the city sent; returns what was done, a line each."""
        self._check(welcome)
        done = self._take_next_keys(welcome)
        public = [PublicKeys.read(entry) for entry in welcome.directory["keys"]]
        Directory(public).write(self.folder / "directory.json")
        settings = {"CITY": welcome.city, "CODE": welcome.agency, "KEY_FILE": str(self.keys.resolve())}
        settings["DIRECTORY_FILE"] = str((self.folder / "directory.json").resolve())
        if f"{_PREFIX}STORE_URL=" not in (self.settings.read_text() if self.settings.exists() else ""):
            settings["STORE_URL"] = f"sqlite:///{(self.folder / 'agency.db').resolve()}"
        settings["SCHEMA_DIR"] = str(files("simpul_schema") / "json_schema")
        if welcome.amqp_url is not None:
            settings["AMQP_URL"] = welcome.amqp_url.get_secret_value()
        for name, key, content in (
            ("certificate.pem", "CERTIFICATE_FILE", welcome.certificate),
            ("authority.pem", "CA_FILE", welcome.authority),
        ):
            if content is not None:
                (self.folder / name).write_text(content)
                settings[key] = str((self.folder / name).resolve())
        if welcome.certificate is not None:
            settings["CERTIFICATE_KEY_FILE"] = str(self.certificate_key.resolve())
        self.add_settings(settings)
        return [*done, f"{self.settings}: {', '.join(sorted(settings))}"]

    def _check(self, welcome: Welcome) -> None:
        """FilesRefused, before anything is written, unless it was made for these keys."""
        own = [KeyRing.read(path) for path in (self.keys, self.next_keys) if path.exists()]
        if not own or own[0].party != welcome.agency:
            msg = f"this file is for {welcome.agency}, and the keys here are of {own[0].party if own else 'nobody'}"
            raise FilesRefused(msg)
        if not {ring.keyid for ring in own} & {entry["keyid"] for entry in welcome.directory["keys"]}:
            msg = "the city's directory does not know these keys; was this file made from another enrolment?"
            raise FilesRefused(msg)
        following = self.next_certificate_key if self.next_certificate_key.exists() else self.certificate_key
        if welcome.certificate is not None and not is_certificate_of(welcome.certificate, following):
            msg = f"the certificate is not one for {following}; was this file made from another enrolment?"
            raise FilesRefused(msg)

    def _enrolment(self, name: str, city: str, public: PublicKeys, certificate_key: Path) -> Path:
        request = make_certificate_request(public.party, certificate_key)
        path = self.folder / name
        enrolment = Enrolment(city=city, agency=public.party, keys=public.described(), certificate_request=request)
        write_json(path, enrolment)
        return path

    def _take_next_keys(self, welcome: Welcome) -> list[str]:
        """The keys of a rotation become the keys once the city's directory has them."""
        if not self.next_keys.exists():
            return []
        following = KeyRing.read(self.next_keys)
        if following.keyid not in {entry["keyid"] for entry in welcome.directory["keys"]}:
            return []
        both = self.folder / ".agency.key.json"
        both.unlink(missing_ok=True)
        following.succeeding(KeyRing.read(self.keys)).write(both)
        both.replace(self.keys)
        self.next_keys.unlink()
        if welcome.certificate is not None:
            self.next_certificate_key.replace(self.certificate_key)
        else:
            self.next_certificate_key.unlink(missing_ok=True)
        return [
            f"{self.keys}: the new keys sign from the next start on; the old ones still open what was sealed to them"
        ]

    def add_settings(self, settings: dict[str, str]) -> None:
        """Change these lines of the settings and leave the others."""
        before = self.settings.read_text().splitlines() if self.settings.exists() else []
        kept = [line for line in before if line.partition("=")[0].removeprefix(_PREFIX) not in settings]
        beside = self.folder / f".{SETTINGS}"
        beside.unlink(missing_ok=True)
        lines = [f"{_PREFIX}{name}={json.dumps(value, ensure_ascii=False)}" for name, value in settings.items()]
        write_secret(beside, "\n".join([*kept, *lines]))
        beside.replace(self.settings)
