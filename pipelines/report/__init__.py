"""``seqmill report``: one HTML page of a corpus, its epochs and its training, a module for each section."""
