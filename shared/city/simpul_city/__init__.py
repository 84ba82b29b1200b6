"""A city as data: its wards, its agencies and their queues, its emergency numbers."""

from simpul_city.city import (
    NATIONAL_EMERGENCY_NUMBERS,
    Agency,
    City,
    CityInvalid,
    EmergencyNumber,
    Kelurahan,
    OwnQueue,
    read_yaml,
)

__all__ = [
    "NATIONAL_EMERGENCY_NUMBERS",
    "Agency",
    "City",
    "CityInvalid",
    "EmergencyNumber",
    "Kelurahan",
    "OwnQueue",
    "read_yaml",
]
