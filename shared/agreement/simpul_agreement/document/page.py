"""The document as one page of HTML, which loads nothing."""

from functools import cache
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from simpul_agreement.document.contents import Form, contents
from simpul_agreement.model import Agreement
from simpul_city import City


def write_page(folder: Path, agreement: Agreement, city: City, language: str, form: Form = Form.AGREEMENT) -> str:
    """Returns the document in a language; raises AgreementInvalid where a text is missing."""
    return _environment().get_template("agreement.html").render(**contents(folder, agreement, city, language, form))


@cache
def _environment() -> Environment:
    return Environment(loader=PackageLoader("simpul_agreement"), autoescape=True, undefined=StrictUndefined)
