"""A bill of materials lists what is installed in an image, and nothing that was removed."""

from simpul_dev.sbom import component, debian_packages

STATUS = """Package: libssl3
Status: install ok installed
Architecture: amd64
Version: 3.0.17-1~deb12u2
Description: Secure Sockets Layer toolkit
 shared libraries

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1

Package: tzdata
Status: install ok installed
Architecture: all
Version: 1:2025b-0+deb12u1
"""


def test_installed_packages_of_debian_are_components() -> None:
    found = [component(fields) for fields in debian_packages(STATUS)]

    assert [(one["name"], one["version"]) for one in found] == [
        ("libssl3", "3.0.17-1~deb12u2"),
        ("tzdata", "1:2025b-0+deb12u1"),
    ]
    assert found[1]["purl"] == "pkg:deb/debian/tzdata@1%3A2025b-0%2Bdeb12u1?arch=all"
