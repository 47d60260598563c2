"""A small transformer that says the next label of a sequence, on packed or padded batches alike.

In a packed batch many sequences lie behind one another. A frame sees the frames before it that belong to its
own sequence, which the segment mask decides, and knows its place in that sequence from its position, so that
the model and its loss are those of the same sequences padded.
"""

from __future__ import annotations

import keras
from keras import layers, ops

WIDTH, HEADS, BLOCKS, DROPOUT = 128, 4, 2, 0.1
MOST_FRAMES = 512


def build(manifest, dropout: float = DROPOUT) -> keras.Model:
    """Labels, segments (0: padding) and positions [B, T] to scores of the next label [B, T, labels]."""
    num_labels = manifest.data_keys["data"].num_labels
    labels, segments, positions = (
        keras.Input((None,), dtype="int32", name=name) for name in ("labels", "segments", "positions")
    )
    x = layers.Embedding(num_labels, WIDTH)(labels) + layers.Embedding(MOST_FRAMES, WIDTH)(positions)
    for _ in range(BLOCKS):
        seen = SegmentAttention(HEADS)(layers.LayerNormalization()(x), segments, positions)
        x = x + layers.Dropout(dropout)(layers.Dense(WIDTH)(seen))
        hidden = layers.Dense(4 * WIDTH, activation="gelu")(layers.LayerNormalization()(x))
        x = x + layers.Dropout(dropout)(layers.Dense(WIDTH)(hidden))
    scores = layers.Dense(num_labels)(layers.LayerNormalization()(x))
    model = keras.Model({"labels": labels, "segments": segments, "positions": positions}, scores)
    model.compile(
        keras.optimizers.Adam(warm_up_then_decay(3e-3, manifest.num_steps)),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="mean_with_sample_weight"),
        weighted_metrics=["accuracy"],
        jit_compile=False,
    )
    return model


def warm_up_then_decay(peak: float, num_steps: int) -> keras.optimizers.schedules.LearningRateSchedule:
    """Rises over the first twentieth of all steps, then falls to 0 with the last of them."""
    warm_up = max(num_steps // 20, 1)
    return keras.optimizers.schedules.CosineDecay(
        0.0, max(num_steps - warm_up, 1), warmup_target=peak, warmup_steps=warm_up
    )


def batch_to_xy(batch):
    """What ``fit`` takes of a packed batch, which becomes one long row, or of a padded one."""
    if "data_segment_ids" in batch:
        labels = batch["data"][None]
        segments, positions = batch["data_segment_ids"][None] + 1, batch["data_positions"][None]
    else:
        labels, segments = batch["data"], ops.cast(batch["data_mask"], "int32")
        positions = ops.broadcast_to(ops.arange(ops.shape(labels)[1]), ops.shape(labels))
    x = {"labels": labels[:, :-1], "segments": segments[:, :-1], "positions": positions[:, :-1]}
    has_next = (segments[:, 1:] == segments[:, :-1]) & (segments[:, 1:] > 0)
    return x, labels[:, 1:], ops.cast(has_next, "float32")


@keras.saving.register_keras_serializable("seqmill_packed")
class SegmentAttention(layers.Layer):
    """Every frame attends to those before it in its own segment.

    A row is cut into blocks as long as its longest sequence. What a frame may see is then in its own block or
    the one before, so that a long packed row costs what its frames cost, not the square of their number.
    """

    def __init__(self, heads: int, **options):
        super().__init__(**options)
        self.heads = heads

    def build(self, x_shape, segments_shape, positions_shape):
        """Makes the projection."""
        self.project = layers.Dense(3 * x_shape[-1], name="project")
        self.project.build(x_shape)

    def compute_output_shape(self, x_shape, segments_shape, positions_shape):
        """As its input."""
        return x_shape

    def call(self, x, segments, positions):
        """Frames [B, T, D], their segments (0: padding) and positions [B, T] to [B, T, D]."""
        size = ops.max(positions) + 1
        blocks = [_blocks(part, size) for part in (self.project(x), segments)]
        query, key, value = ops.split(blocks[0], 3, axis=-1)
        query, key, value = (self._heads(part) for part in (query, _with_before(key), _with_before(value)))
        own = blocks[1]
        scores = ops.einsum("bnqhd,bnkhd->bnhqk", query, key) / query.shape[-1] ** 0.5
        seen = (own[..., :, None] == _with_before(own)[..., None, :]) & _causal(size)
        scores = ops.where(seen[:, :, None], scores, -1e9)
        found = ops.einsum("bnhqk,bnkhd->bnqhd", ops.softmax(scores), value)
        batch, length, width = ops.shape(x)[0], ops.shape(x)[1], x.shape[-1]
        return ops.reshape(found, (batch, -1, width))[:, :length]

    def get_config(self):
        """For saving."""
        return {**super().get_config(), "heads": self.heads}

    def _heads(self, part):
        shape = ops.shape(part)
        return ops.reshape(part, (*shape[:3], self.heads, part.shape[-1] // self.heads))


def _blocks(part, size):
    """[B, T, …] as [B, blocks, size, …], zeros behind it."""
    batch, length = ops.shape(part)[0], ops.shape(part)[1]
    padding = [(0, 0), (0, (-length) % size), *[(0, 0)] * (len(part.shape) - 2)]
    return ops.reshape(ops.pad(part, padding), (batch, -1, size, *part.shape[2:]))


def _with_before(blocks):
    """Behind the block before each (zeros before the first) the block itself: [B, blocks, 2 size, …]."""
    before = ops.concatenate([ops.zeros_like(blocks[:, :1]), blocks[:, :-1]], axis=1)
    return ops.concatenate([before, blocks], axis=2)


def _causal(size):
    """Whether key k of a block and the one before is not behind query q, [size, 2 size]."""
    place = ops.arange(size)
    return ops.concatenate([place, place + size])[None, :] <= place[:, None] + size
