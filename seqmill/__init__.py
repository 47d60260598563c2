"""Raw sequence corpora to pre-batched epochs on any Beam runner, and Keras models trained on them."""
