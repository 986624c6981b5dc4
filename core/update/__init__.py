"""When a node takes which release: the policy. `node/generations` is what carries it out."""
