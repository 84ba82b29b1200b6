"""The city's certificate authority, which signs certificates for its broker and for agencies."""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from simpul_agency.enrolment import write_secret
from simpul_schema.names import broker_user

AUTHORITY_DAYS = 3650
CERTIFICATE_DAYS = 397
"""The longest validity that browsers accept; a renewal is due at least once a year."""


class RequestRefused(Exception):
    """The certificate request does not belong to this agency; the message gives the reason."""


@dataclass(frozen=True)
class Authority:
    """Signs certificates; its private key stays with the city."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def create(cls, city: str, now: datetime) -> "Authority":
        """Creates an authority with a new key."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name(f"Simpul {city}")
        certificate = (
            _builder(name, name, key.public_key(), now, AUTHORITY_DAYS)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(is_authority=True), critical=True)
            .sign(key, SHA256())
        )
        return cls(certificate, key)

    @classmethod
    def read(cls, folder: Path) -> "Authority":
        """Reads an authority from the folder that `write` made."""
        key = serialization.load_pem_private_key((folder / "authority.key").read_bytes(), None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            msg = f"{folder}/authority.key is not a key that `simpul tls init` made"
            raise TypeError(msg)
        return cls(x509.load_pem_x509_certificate((folder / "authority.pem").read_bytes()), key)

    def write(self, folder: Path) -> None:
        """Stores the authority; raises FileExistsError instead of replacing one."""
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
        write_secret(folder / "authority.key", _private_pem(self.key))
        (folder / "authority.pem").write_text(self.pem)

    @property
    def pem(self) -> str:
        """The certificate with which an agency verifies the broker, in PEM."""
        return _public_pem(self.certificate)

    def for_broker(self, hosts: Sequence[str], now: datetime) -> tuple[str, str]:
        """Creates a certificate and private key for a broker with these names or addresses, in PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([_general_name(host) for host in hosts])
        certificate = self._sign(_name(hosts[0]), key.public_key(), now, ExtendedKeyUsageOID.SERVER_AUTH, names)
        return _public_pem(certificate), _private_pem(key)

    def for_agency(self, agency: str, request: str, now: datetime) -> str:
        """Signs an agency's request; raises RequestRefused for a forged request or one of another agency."""
        try:
            csr = x509.load_pem_x509_csr(request.encode())
        except ValueError as error:
            msg = "the enrolment request contains no certificate request"
            raise RequestRefused(msg) from error
        name = _name(broker_user(agency))
        if not csr.is_signature_valid or csr.subject != name:
            msg = f"the certificate request does not belong to {agency} or was altered"
            raise RequestRefused(msg)
        public = csr.public_key()
        if not isinstance(public, ec.EllipticCurvePublicKey):
            msg = "the key of the certificate request has another type than `simpul-agency init` creates"
            raise RequestRefused(msg)
        return _public_pem(self._sign(name, public, now, ExtendedKeyUsageOID.CLIENT_AUTH, None))

    def _sign(
        self,
        name: x509.Name,
        key: ec.EllipticCurvePublicKey,
        now: datetime,
        purpose: x509.ObjectIdentifier,
        names: x509.SubjectAlternativeName | None,
    ) -> x509.Certificate:
        builder = (
            _builder(name, self.certificate.subject, key, now, CERTIFICATE_DAYS)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(is_authority=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
        )
        return (builder.add_extension(names, critical=False) if names else builder).sign(self.key, SHA256())


def _builder(
    name: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, days: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, is_authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _public_pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _private_pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
