"""The agency's files: `init` makes keys and settings, `join` completes them, `rotate-key` renews the keys."""

import errno
import json
import os
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files
from pathlib import Path

from simpul_agency.enrolment import (
    EnrolmentRequest,
    EnrolmentResponse,
    is_certificate_of,
    make_certificate_request,
    make_keys,
    write_json,
    write_secret,
)
from simpul_seal import AgreementText, Directory, KeyRing, PublicKeys, sign_agreement

SETTINGS_FILE = "simpul-agency.env"
_PREFIX = "SIMPUL_AGENCY_"


class FilesMismatch(Exception):
    """Files do not belong together; the message says which, and what to do."""


@dataclass(frozen=True)
class AgencyFiles:
    """The folder of one agency."""

    folder: Path

    @property
    def settings(self) -> Path:
        """The settings that `simpul-agency` reads from the working directory."""
        return self.folder / SETTINGS_FILE

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

    def create_keys(self, city: str, agency: str, now: datetime) -> tuple[Path, PublicKeys]:
        """Makes keys and the enrolment request; raises FileExistsError."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        ring, public = make_keys(agency, now)
        ring.write(self.keys)
        return self._write_request(f"{agency}.enrolment-request.json", city, public, self.certificate_key), public

    def rotate_keys(self, city: str, agency: str, now: datetime) -> tuple[Path, PublicKeys]:
        """Makes the next keys and the enrolment request; the present keys stay valid until the city confirms.

        Raises FileExistsError when a rotation has not been completed.
        """
        for path in (self.next_keys, self.next_certificate_key):
            if path.exists():
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
        ring, public = make_keys(agency, now)
        ring.write(self.next_keys)
        name = f"{agency}.rotation-request-{now:%Y%m%d-%H%M%S}.json"
        return self._write_request(name, city, public, self.next_certificate_key), public

    def sign_agreement(self, request: Path, now: datetime, *, is_interim: bool) -> tuple[Path, AgreementText]:
        """Signs what `simpul agreement request` wrote; returns the signature's file and what it covers.

        Raises FilesMismatch when the request has another form or the folder has no keys.
        """
        try:
            sent = json.loads(request.read_text())
            text = AgreementText(*(str(sent[name]) for name in ("version", "digest", "proof")))
        except (ValueError, KeyError, TypeError) as error:
            msg = f"{request} is not a request for a signature, which `simpul agreement request` writes"
            raise FilesMismatch(msg) from error
        if not self.keys.exists():
            msg = f"{self.folder} has no keys: run `simpul-agency init` first, or name their folder with --folder"
            raise FilesMismatch(msg)
        ring = KeyRing.read(self.keys)
        path = self.folder / f"{ring.party}.{'interim-' if is_interim else ''}signature.json"
        path.write_text(sign_agreement(text, ring, now, is_interim=is_interim))
        return path, text

    def apply_response(self, response: EnrolmentResponse) -> list[str]:
        """Writes what the city sent; returns a line for each change, and raises FilesMismatch before the first."""
        self._check(response)
        done = self._activate_next_keys(response)
        public = [PublicKeys.from_json(entry) for entry in response.directory["keys"]]
        Directory(public).write(self.folder / "directory.json")
        settings = {"CITY": response.city, "CODE": response.agency, "KEY_FILE": str(self.keys.resolve())}
        settings["DIRECTORY_FILE"] = str((self.folder / "directory.json").resolve())
        if f"{_PREFIX}STORE_URL=" not in (self.settings.read_text() if self.settings.exists() else ""):
            settings["STORE_URL"] = f"sqlite:///{(self.folder / 'agency.db').resolve()}"
        settings["SCHEMA_DIR"] = str(files("simpul_schema") / "json_schema")
        if response.amqp_url is not None:
            settings["AMQP_URL"] = response.amqp_url.get_secret_value()
        for name, key, content in (
            ("certificate.pem", "CERTIFICATE_FILE", response.certificate),
            ("authority.pem", "CA_FILE", response.authority),
        ):
            if content is not None:
                (self.folder / name).write_text(content)
                settings[key] = str((self.folder / name).resolve())
        if response.certificate is not None:
            settings["CERTIFICATE_KEY_FILE"] = str(self.certificate_key.resolve())
        self.update_settings(settings)
        return [*done, f"{self.settings}: {', '.join(sorted(settings))}"]

    def _check(self, response: EnrolmentResponse) -> None:
        """Raises FilesMismatch unless the response was made for these keys."""
        own = [KeyRing.read(path) for path in (self.keys, self.next_keys) if path.exists()]
        if not own or own[0].party != response.agency:
            owner = own[0].party if own else "nobody"
            msg = f"this file is for {response.agency}, but the keys in {self.folder} are of {owner}"
            raise FilesMismatch(msg)
        if not {ring.keyid for ring in own} & {entry["keyid"] for entry in response.directory["keys"]}:
            msg = "the city's directory does not have these keys: was this file made from another enrolment request?"
            raise FilesMismatch(msg)
        certificate_key = self.next_certificate_key if self.next_certificate_key.exists() else self.certificate_key
        if response.certificate is not None and not is_certificate_of(response.certificate, certificate_key):
            msg = f"the certificate is not for {certificate_key}: was this file made from another enrolment request?"
            raise FilesMismatch(msg)

    def _write_request(self, name: str, city: str, public: PublicKeys, certificate_key: Path) -> Path:
        request = make_certificate_request(public.party, certificate_key)
        path = self.folder / name
        enrolment = EnrolmentRequest(city=city, agency=public.party, keys=public.to_json(), certificate_request=request)
        write_json(path, enrolment)
        return path

    def _activate_next_keys(self, response: EnrolmentResponse) -> list[str]:
        """Replaces the keys by those of a rotation once the city's directory has them."""
        if not self.next_keys.exists():
            return []
        next_ring = KeyRing.read(self.next_keys)
        if next_ring.keyid not in {entry["keyid"] for entry in response.directory["keys"]}:
            return []
        merged = self.folder / ".agency.key.json"
        merged.unlink(missing_ok=True)
        next_ring.with_older(KeyRing.read(self.keys)).write(merged)
        merged.replace(self.keys)
        self.next_keys.unlink()
        if response.certificate is not None:
            self.next_certificate_key.replace(self.certificate_key)
        else:
            self.next_certificate_key.unlink(missing_ok=True)
        return [f"{self.keys}: the new keys sign after the next start; the old ones still open what was sealed to them"]

    def update_settings(self, settings: dict[str, str]) -> None:
        """Replaces these lines of the settings and keeps the others."""
        lines = self.settings.read_text().splitlines() if self.settings.exists() else []
        kept = [line for line in lines if line.partition("=")[0].removeprefix(_PREFIX) not in settings]
        changed = self.folder / f".{SETTINGS_FILE}"
        changed.unlink(missing_ok=True)
        added = [f"{_PREFIX}{name}={json.dumps(value, ensure_ascii=False)}" for name, value in settings.items()]
        write_secret(changed, "\n".join([*kept, *added]))
        changed.replace(self.settings)
