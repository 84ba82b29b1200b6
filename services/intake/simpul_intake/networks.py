"""What is counted of an address: the network of one household."""

from ipaddress import IPv6Address, ip_address


def network_of(address: str) -> str:
    """Returns what one household has: an IPv4 address, or the first 64 bits of an IPv6 address."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address):
        return str(parsed.ipv4_mapped or parsed.packed[:8].hex())
    return str(parsed)
