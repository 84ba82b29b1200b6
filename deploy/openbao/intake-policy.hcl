# What intake may do in OpenBao or HashiCorp Vault: use the vault's master key, and ask which versions it has. It can
# neither read the key nor rotate it. `transit` and `simpul` are the defaults of SIMPUL_VAULT_TRANSIT_MOUNT and _KEY.
path "transit/encrypt/simpul" { capabilities = ["update"] }
path "transit/decrypt/simpul" { capabilities = ["update"] }
path "transit/keys/simpul" { capabilities = ["read"] }
