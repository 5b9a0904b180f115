"""Made-up ratings."""
