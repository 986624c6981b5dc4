"""What a node runs above zinit: devices, network, bring-up from the hub."""
