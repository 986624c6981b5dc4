"""Hubs that get what they have from other hubs, and what plain web servers need."""
