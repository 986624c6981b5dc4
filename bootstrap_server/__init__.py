"""Personalised boot images, release channels, and the page where farmers get them."""
