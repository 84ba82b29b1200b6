"""A city as data: its wards, its agencies, the queues they have."""

from simpul_city.city import Agency, City, CityInvalid, Kelurahan, OwnQueue, read_yaml

__all__ = ["Agency", "City", "CityInvalid", "Kelurahan", "OwnQueue", "read_yaml"]
