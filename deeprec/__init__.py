"""Nightly batch scoring for collaborative filtering.

The data's way: files -> ratings -> vectors -> model -> ONNX -> scores -> SQL.
"""
