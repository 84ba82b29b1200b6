"""Signs again the events of versions that put the signature into the body and that still wait to be published.

Delete this file once no database has such a row any more.
"""

import json

from simpul_seal.keys import KeyRing
from simpul_seal.signing import sign


def sign_again(body: bytes, ring: KeyRing) -> tuple[bytes, str]:
    """Returns the event without the signature inside it, and the signature apart; always the same bytes."""
    event = json.loads(body)
    for name in ("keyid", "signature"):
        event.pop(name, None)
    bare = json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode()
    return bare, sign(bare, ring)
