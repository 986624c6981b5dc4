"""What happens to bytes on their way: checksum, compression, encryption, erasure code, keys."""
