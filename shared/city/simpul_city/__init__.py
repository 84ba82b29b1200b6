"""A city as data: wards, agencies, filtered queues, emergency numbers."""

from simpul_city.city import (
    Agency,
    City,
    CityInvalid,
    EmergencyNumber,
    FilteredQueue,
    Kelurahan,
    national_emergency_numbers,
    read_yaml,
)

__all__ = [
    "Agency",
    "City",
    "CityInvalid",
    "EmergencyNumber",
    "FilteredQueue",
    "Kelurahan",
    "national_emergency_numbers",
    "read_yaml",
]
