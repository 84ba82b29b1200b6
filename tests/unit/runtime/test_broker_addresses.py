"""A setting names one address, or the nodes of a cluster."""

from simpul_runtime.broker_addresses import BrokerAddresses


def test_the_addresses_of_a_cluster_are_tried_in_turn() -> None:
    addresses = BrokerAddresses("amqp://simpul:a,b@one:5672/, amqps://simpul:a,b@two:5671/")

    found = [addresses.next() for _ in range(3)]

    assert found == ["amqp://simpul:a,b@one:5672/", "amqps://simpul:a,b@two:5671/", "amqp://simpul:a,b@one:5672/"]


def test_one_address_is_always_the_same() -> None:
    addresses = BrokerAddresses("amqp://one/")

    assert [addresses.next(), addresses.next()] == ["amqp://one/"] * 2
