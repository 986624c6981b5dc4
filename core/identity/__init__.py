"""The node's identity: an Ed25519 key in the TPM, on a disk, or for this boot only."""
