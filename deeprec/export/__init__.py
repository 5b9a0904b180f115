"""From fitted networks to ONNX files that are known to agree with them."""
