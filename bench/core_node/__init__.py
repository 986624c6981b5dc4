"""What `bench_core` runs on a node, and beside it."""
