"""``seqmill import-returnn``: reads a config of RETURNN as data, and writes one of seqmill."""
