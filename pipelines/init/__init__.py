"""``seqmill init``: a configuration for what is found in files and folders."""
