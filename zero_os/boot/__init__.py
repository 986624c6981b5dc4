"""`zos boot`: a release, a hub, a bootstrap server and a node, wired together on one machine."""
