"""Calls between processes of one machine, over Unix sockets, as lines of JSON.

A connection carries one call: `{"method": NAME, "params": {...}}`. The answer is one line,
`{"result": ...}` or `{"error": {"message", "hint", "code"}}`, or for a stream any number of lines
`{"item": ...}` and then `{"end": true}`. The server knows its callers by the user ids that the
kernel gives, and by nothing else.
"""
