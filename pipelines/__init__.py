"""What a user runs: the command line, options, runners, and one module per command."""
