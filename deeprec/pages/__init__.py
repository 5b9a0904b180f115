"""What is looked at: pictures, and pages that open offline."""
