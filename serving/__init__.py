"""The server kit that every HTTP server of the project uses. A leaf: it imports only `common`.

settings   limits and addresses: a TOML file, the environment, flags
kit        what one application's requests share; `install` adds the kit to an application
requests   the middleware: request id, log line, metrics, unexpected errors
health     GET /health, /ready and /metrics
problems   errors as problem+json (RFC 9457)
content, ranges, respond   bodies that are sent in part
bodies     request bodies, bounded in memory
pools, rates               thread pools by purpose, rate limits
database, tokens           a server's database, bearer tokens with scopes
acceptor, connection, connections   sockets: caps, time-outs, eviction
listen, tls, run           the listener, certificates, the server's life
"""
