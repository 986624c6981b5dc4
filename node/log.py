"""Log lines of the node's services, on stdout, where zinit collects them."""


def log(service: str, text: str) -> None:
    """Print one line."""
    print(f"{service}: {text}", flush=True)
