"""What a service does not import or build before it is needed."""

import subprocess
import sys

import pytest

RARELY_NEEDED = ("PIL", "jinja2", "pydantic.v1.main")
_LIST = """
import sys
import simpul_runtime.command_line
import simpul_{service}.app
from fastapi.openapi.models import OpenAPI
from simpul_schema.messages import CaseReportedV1
print(*(name for name in {names} if sys.modules.get(name)))
print(OpenAPI.__pydantic_complete__, CaseReportedV1.__pydantic_complete__)
"""


@pytest.mark.slow
@pytest.mark.parametrize("service", ["intake", "routing", "notify"])
def test_a_service_imports_and_builds_rarely_needed_parts_later(service: str) -> None:
    code = _LIST.format(service=service, names=RARELY_NEEDED)
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert found == "\nFalse False\n"
