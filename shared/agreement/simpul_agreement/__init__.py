"""The agreement between the agencies of a city: read from YAML, proven complete, signed and executed."""

from simpul_agreement.errors import AgreementMissing
from simpul_agreement.findings import AgreementInvalid, Finding
from simpul_agreement.proof import Proof, digest_of
from simpul_agreement.reading import read_agreement
from simpul_agreement.versions import Versions

__all__ = ["AgreementInvalid", "AgreementMissing", "Finding", "Proof", "Versions", "digest_of", "read_agreement"]
