"""The life of services: state machine, dependencies, timers, manager. No I/O, no clock."""
