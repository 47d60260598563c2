"""A worker process of Beam's local runner that keeps quiet.

Beam's own entry point logs its start and end at level INFO, whatever level the pipeline's options name.
"""

import logging

if __name__ == "__main__":
    logging.disable(logging.WARNING)
    from apache_beam.runners.worker import sdk_worker_main

    sdk_worker_main.main([])
