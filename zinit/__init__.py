"""PID 1 and process manager: services, dependencies, probes, logs and the control socket."""
