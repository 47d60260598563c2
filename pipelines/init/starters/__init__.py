"""Model files to begin with, which ``seqmill init --model`` copies; each stands alone."""
