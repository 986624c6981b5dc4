"""iPXE scripts. No I/O."""
