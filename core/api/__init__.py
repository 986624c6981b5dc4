"""The node's API: HTTPS with client certificates of the farm. It is the only open port."""
