"""Ed25519 signatures of flists, beside the `.fl` file or inside it."""
