"""How many articles the laws have that an agreement usually names, so that an article that does not exist is found."""

import re
from collections.abc import Iterator
from types import MappingProxyType
from typing import Final

from simpul_agreement.findings import Finding
from simpul_agreement.languages import Message as _
from simpul_agreement.model import Agreement

ARTICLES: Final = MappingProxyType(
    {
        "UU 21/2007": 67,
        "UU 23/2004": 56,
        "UU 11/2012": 108,
        "UU 12/2022": 93,
        "UU 27/2022": 76,
        # The amendment kept the numbers of UU 23/2002.
        "UU 35/2014": 93,
        "UU 23/2002": 93,
    }
)
"""Law -> the number of its last article. A law that is not listed is not checked."""
_LAW: Final = re.compile(r"[A-Z]\w+ \d+/\d{4}")
_ARTICLE: Final = re.compile(r"(\d+)")


def article_findings(agreement: Agreement) -> Iterator[Finding]:
    """Sources that name an article which their law does not have."""
    for clause in agreement.clauses:
        law = _LAW.match(clause.source.title)
        article = _ARTICLE.match(clause.source.article)
        last = ARTICLES.get(law[0]) if law else None
        if law and last and clause.source.article and not (article and 1 <= int(article[1]) <= last):
            yield Finding(
                clause.where,
                _("{law} has no article {article}", law=law[0], article=clause.source.article),
                _("write an article from 1 to {last}", last=last),
            )
