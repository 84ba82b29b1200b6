"""The vault: master keys in a file or a key service, a data key for each case, encrypted sections."""

from simpul_intake.vault.errors import (
    DecryptionFailed,
    KeyServiceUnavailable,
    MasterKeyFileInvalid,
    MasterKeyMissing,
    RetirementUnproven,
)
from simpul_intake.vault.key_file import (
    KeyFile,
    MasterKey,
    add_master_key,
    check_retirement,
    create_master_key,
    read_master_keys,
    remove_master_key,
    retirement_code,
)
from simpul_intake.vault.secrets import SecretName, Secrets, create_secret, secret_context
from simpul_intake.vault.transit import TransitKeys, TransitServer
from simpul_intake.vault.vault import NewCaseKey, Vault, case_key_context, explain_missing
from simpul_intake.vault.wrapping import UNRECORDED, KeyToWrap, KeyWrapper, WrappedKey

__all__ = [
    "UNRECORDED",
    "DecryptionFailed",
    "KeyFile",
    "KeyServiceUnavailable",
    "KeyToWrap",
    "KeyWrapper",
    "MasterKey",
    "MasterKeyFileInvalid",
    "MasterKeyMissing",
    "NewCaseKey",
    "RetirementUnproven",
    "SecretName",
    "Secrets",
    "TransitKeys",
    "TransitServer",
    "Vault",
    "WrappedKey",
    "add_master_key",
    "case_key_context",
    "check_retirement",
    "create_master_key",
    "create_secret",
    "explain_missing",
    "read_master_keys",
    "remove_master_key",
    "retirement_code",
    "secret_context",
]
