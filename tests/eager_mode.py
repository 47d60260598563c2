"""RETURNN switches TensorFlow's eager mode off where TensorFlow is loaded; other tests need it."""

import sys


def keep_eager_mode(patch):
    """Keeps it on until what a ``MonkeyPatch`` has changed is undone."""
    if "tensorflow" in sys.modules:
        v1 = sys.modules["tensorflow"].compat.v1
        for name in ("disable_eager_execution", "disable_v2_tensorshape", "disable_control_flow_v2"):
            patch.setattr(v1, name, lambda: None)
