"""What `bench_registry` runs beside itself: the plain peer, and the nodes that report."""
