"""Farms: whose owners sign every change."""
