"""The files of a namespace, byte for byte as upstream writes them; one module per format."""
