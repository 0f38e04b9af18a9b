"""Database, queue, clock, log and text: what every part stands on. Knows nothing of football."""
