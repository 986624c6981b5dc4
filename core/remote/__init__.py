"""`zos node`: the client of nodes' APIs, on a farmer's or an operator's machine."""
