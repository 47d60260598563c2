"""What decides the rest of a training: where it is held, and how it is written down and put back."""
