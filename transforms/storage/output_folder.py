"""Where everything is in an output folder."""

PARTS = "parts"  # folder of what finished tasks leave beside their files: receipts and the like
PROGRESS = "progress"  # folder that workers report their progress into
