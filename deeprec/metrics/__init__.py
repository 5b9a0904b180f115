"""What errors of predicted ratings come to; knows no model."""
