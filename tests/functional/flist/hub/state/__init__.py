"""The hub's state: killed servers, several servers on one database."""
