"""The services that a node runs above zinit: network, and bring-up from the hub."""
