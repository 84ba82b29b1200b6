"""The two files by which an agency joins a city.

The agency sends its public keys. After two people have compared the fingerprint, the city sends back the broker user,
the directory and, with TLS, the certificates. No private key leaves the agency.
"""

import json
import os
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Optional

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_serializer

from simpul_schema.names import broker_user
from simpul_seal import KeyRing, PublicKeys, generate

VALIDITY = timedelta(days=365)
"""How long an agency's keys are valid, unless the city ends them earlier."""


class EnrolmentRequest(BaseModel):
    """The file that an agency sends to join; nothing in it is secret."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    city: str
    agency: str = Field(description="code of the agency")
    keys: dict[str, str] = Field(description="the public keys, as in the directory")
    certificate_request: str = Field(description="PKCS #10 in PEM, for the agency's certificate")

    def public_keys(self) -> PublicKeys:
        """Returns the keys; raises ValueError or KeyError when they are malformed."""
        return PublicKeys.from_json(self.keys)


class EnrolmentResponse(BaseModel):
    """The file that the city sends back; it holds the password of the broker user and is confidential."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    city: str
    agency: str
    amqp_url: Optional[SecretStr] = Field(default=None, description="with the password; absent when it has not changed")
    directory: dict[str, Any] = Field(description="public keys of all parties")
    certificate: Optional[str] = Field(default=None, description="the agency's certificate, PEM")
    authority: Optional[str] = Field(
        default=None, description="certificate of the authority that certified the broker, PEM"
    )

    @field_serializer("amqp_url")
    def _with_password(self, url: Optional[SecretStr]) -> Optional[str]:
        # This file is the one place where the password is written in clear.
        return url.get_secret_value() if url else None


def make_keys(agency: str, now: datetime) -> tuple[KeyRing, PublicKeys]:
    """Makes new keys for an agency."""
    return generate(agency, not_before=now - timedelta(minutes=5), not_after=now + VALIDITY)


def make_certificate_request(agency: str, key_file: Path) -> str:
    """Writes a new private key for TLS into `key_file`; returns the request for the city to sign, in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    write_secret(
        key_file,
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode(),
    )
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, broker_user(agency))])
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, SHA256())
    return request.public_bytes(serialization.Encoding.PEM).decode()


def is_certificate_of(certificate: str, key_file: Path) -> bool:
    """Whether a certificate in PEM was made for the private key in a file."""
    try:
        certified = x509.load_pem_x509_certificate(certificate.encode()).public_key()
        key = serialization.load_pem_private_key(key_file.read_bytes(), None)
    except (OSError, ValueError):
        return False
    raw = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    return certified.public_bytes(*raw) == key.public_key().public_bytes(*raw)


def write_secret(path: Path, content: str) -> None:
    """Writes a file that only its owner can read; raises FileExistsError."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(content if content.endswith("\n") else content + "\n")


def write_json(path: Path, model: BaseModel) -> None:
    """Writes an enrolment file."""
    write_secret(path, json.dumps(model.model_dump(mode="json", exclude_none=True), indent=1))
