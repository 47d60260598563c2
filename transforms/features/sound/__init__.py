"""Sound files: what they hold, checked against what they say they hold."""
