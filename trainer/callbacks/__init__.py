"""Keras callbacks. The first three serve in anybody's ``fit``, the others the training loop alone.

``StopOnNonfiniteTrainScore``, ``SaveCheckpoint``, ``CleanupOldModels``: import them from ``seqmill.trainer``.
"""
