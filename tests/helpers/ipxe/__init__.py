"""iPXE scripts: an independent reader, and a machine that runs them."""
