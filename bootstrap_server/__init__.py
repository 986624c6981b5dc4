"""Personalised boot images, release channels and the page that gives them out."""
