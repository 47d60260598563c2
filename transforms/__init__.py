"""What happens to sequences: reading, lengths, order, chunks, batches, the store and the shards.

Never imports ``pipelines``, ``trainer`` or TensorFlow.
"""
