"""Running zdb servers, and clients of them."""
