"""Invented children for the sandbox and the conformance cases; none of them exists."""

from collections.abc import Mapping
from typing import Any

SCENARIOS: tuple[Mapping[str, Any], ...] = (
    {
        "services": ({"service": "social_aid", "role": "lead", "urgency": "low"},),
        "facts": {"violence": ["neglect"], "sex": "male", "age_band": "from_6_to_11", "safe_now": "yes"},
    },
    {
        "services": (
            {"service": "psychologist", "role": "lead", "urgency": "medium"},
            {"service": "counselling", "role": "support", "urgency": "low"},
        ),
        "facts": {"violence": ["psychological"], "sex": "female", "age_band": "from_12_to_14", "in_school": "yes"},
    },
    {
        "services": (
            {"service": "medical_care", "role": "lead", "urgency": "high"},
            {"service": "shelter", "role": "support", "urgency": "medium"},
        ),
        "facts": {"violence": ["physical"], "sex": "male", "age_band": "under_6", "safe_now": "no", "injured": "yes"},
    },
    {
        "services": (
            {"service": "forensic_exam", "role": "lead", "urgency": "high"},
            {"service": "pep_72h", "role": "lead", "urgency": "high"},
            {"service": "restitution_information", "role": "support", "urgency": "low"},
        ),
        "facts": {
            "violence": ["sexual"], "sex": "female", "age_band": "from_15_to_17", "sexual_under_72h": "yes",
            "safe_now": "no",
        },
    },
    {
        "services": ({"service": "stay_in_school", "role": "lead", "urgency": "low"},),
        "facts": {"violence": ["physical"], "sex": "female", "age_band": "from_12_to_14", "in_school": "yes"},
    },
)  # fmt: skip
"""The services that are asked of the agency, the most urgent first; facts that are not given are unknown."""
