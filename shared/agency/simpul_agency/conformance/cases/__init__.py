"""All cases, by what they are about; importing them fills the list."""

from simpul_agency.conformance.cases import (  # noqa: F401 - each adds its cases
    afterwards,
    answering,
    changes,
    forged,
    missing,
    once,
    order,
    outages,
    unusable,
)
