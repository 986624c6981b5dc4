"""What an image is made for: the options of one boot, as a value. No I/O."""
