"""What a run is told: one frozen section a stage, read from TOML, checked before anything runs."""
