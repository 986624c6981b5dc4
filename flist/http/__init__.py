"""The HTTP client: connections, time limits, redirects and retries."""
