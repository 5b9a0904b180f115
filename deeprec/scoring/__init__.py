"""From a bundle to published predictions; for those who came later, and why, too."""
