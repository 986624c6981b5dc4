"""Boot images: templates, which are built once, and what makes a farm's image of them."""
