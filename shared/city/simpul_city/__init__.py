"""A city as data: wards, agencies, filtered queues, emergency numbers."""

from simpul_city.city import (
    NATIONAL_EMERGENCY_NUMBERS,
    Agency,
    City,
    CityInvalid,
    EmergencyNumber,
    FilteredQueue,
    Kelurahan,
    read_yaml,
)

__all__ = [
    "NATIONAL_EMERGENCY_NUMBERS",
    "Agency",
    "City",
    "CityInvalid",
    "EmergencyNumber",
    "FilteredQueue",
    "Kelurahan",
    "read_yaml",
]
