"""`zos boot`: a release, a hub, a bootstrap server and a node on one machine."""
