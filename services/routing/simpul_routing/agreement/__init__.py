"""The agreement as it is written: YAML in, plain data of the domain out, with the place of everything that is wrong."""

from simpul_routing.agreement.findings import AgreementInvalid, Finding
from simpul_routing.agreement.proof import Proof, digest_of
from simpul_routing.agreement.reading import read_agreement
from simpul_routing.agreement.versions import Versions

__all__ = ["AgreementInvalid", "Finding", "Proof", "Versions", "digest_of", "read_agreement"]
