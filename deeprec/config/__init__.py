"""What a run is told: one frozen model a stage, read from TOML, checked before anything runs."""
