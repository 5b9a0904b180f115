"""Nightly batch scoring for collaborative filtering.

The data's way: files -> ratings -> vectors -> model -> ONNX -> scores -> SQL.
"""

import os

# Unless told otherwise, onnxruntime reports to its maker, and leaves an id of the machine in the
# user's home folder, as soon as it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
