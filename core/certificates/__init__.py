"""Who may call a node's API, and which node answers: certificates by a farm's or a node's key."""
