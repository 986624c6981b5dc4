"""The users of Core-0's daemons that may ask for more than the status (as in `core/places.py`)."""

UPDATE = 704
API = 705
EVERYBODY = None
OPERATORS = frozenset({API})
CHANGERS = frozenset({API, UPDATE})
