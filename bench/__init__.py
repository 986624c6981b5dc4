"""Side-by-side benchmarks against the peers, one file per question."""
