"""Trained models as they are kept and asked: numpy, scipy and onnxruntime, no torch."""
