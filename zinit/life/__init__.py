"""The life of services: state machine, dependencies, timers. No I/O."""
