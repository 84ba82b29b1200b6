"""Events of versions that put the signature into the body: what still waits to be published is signed again.

Delete this file once no database holds such a row any more.
"""

import json

from simpul_seal.keys import KeyRing
from simpul_seal.signing import sign


def sign_again(body: bytes, ring: KeyRing) -> tuple[bytes, str]:
    """The same event without the signature in it, and the signature beside it; the same bytes each time."""
    event = json.loads(body)
    for name in ("keyid", "signature"):
        event.pop(name, None)
    bare = json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode()
    return bare, sign(bare, ring)
