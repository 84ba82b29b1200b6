"""What two packages hold in common without sharing a package is the same in both."""

from importlib.resources import files


def test_services_and_kit_read_faulty_properties_alike() -> None:
    of_services = (files("simpul_runtime") / "amqp_properties.py").read_text()

    of_kit = (files("simpul_agency") / "amqp_properties.py").read_text()

    assert of_services == of_kit
