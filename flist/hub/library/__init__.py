"""Repositories, flists and their versions."""
