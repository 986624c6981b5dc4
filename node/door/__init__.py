"""The one door to the node for Core-0: a socket on which it is asked, and told to change."""
