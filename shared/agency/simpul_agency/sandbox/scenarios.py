"""Invented children for trying things out. None of them exists."""

from collections.abc import Mapping
from typing import Any

SCENARIOS: tuple[Mapping[str, Any], ...] = (
    {
        "service": "social_aid", "urgency": "low",
        "facts": {"violence": ["neglect"], "sex": "male", "age_band": "from_6_to_11", "safe_now": "yes"},
    },
    {
        "service": "psychologist", "urgency": "medium",
        "facts": {"violence": ["psychological"], "sex": "female", "age_band": "from_12_to_14", "in_school": "yes"},
    },
    {
        "service": "medical_care", "urgency": "high",
        "facts": {"violence": ["physical"], "sex": "male", "age_band": "under_6", "safe_now": "no", "injured": "yes"},
    },
    {
        "service": "forensic_exam", "urgency": "high",
        "facts": {
            "violence": ["sexual"], "sex": "female", "age_band": "from_15_to_17", "sexual_under_72h": "yes",
            "safe_now": "no",
        },
    },
    {
        "service": "stay_in_school", "urgency": "low",
        "facts": {"violence": ["physical"], "sex": "female", "age_band": "from_12_to_14", "in_school": "yes"},
    },
)  # fmt: skip
"""What is not told is unknown."""
