"""From a file to pieces and back, with memory for a few chunks whatever the file's size."""
