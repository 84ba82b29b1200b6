"""All cases, by subject; importing them fills the list."""

from simpul_agency.conformance.cases import (  # noqa: F401 - each adds its cases
    answers,
    changes,
    dossiers,
    duplicates,
    forged,
    gaps,
    last_check,
    order,
    outages,
    services,
    unknown_values,
    unusable,
)
