"""What parts of a night cost: what commands of docs/performance.md printed on several fast days.

Nothing is measured here; that page has slower days too. A figure of one core is in CPU seconds
where the tables have those, else in seconds of the two cores, times two.
"""

# "A night, at three sizes": 17,770 movies, 128 hidden units, one epoch, predictions `factored`.
NUM_USERS, NUM_MOVIES, NUM_RATINGS = 480_189, 17_770, 100_480_507  # of the Netflix Prize
NUM_PREDICTIONS = 8_521_141_480  # of the users who have rated
_NUM_SCORED = NUM_PREDICTIONS // NUM_MOVIES
INGEST_S, MATERIALIZE_S, TRAIN_S = 15.6, 35.1, 52.9  # at 100,480,507 ratings
INGEST_CPU_S, MATERIALIZE_CPU_S = 26.9, 50.7
INGEST_BYTES, MATERIALIZE_BYTES = 0.897e9, 1.298e9  # of the warehouse, after either
SAMPLE_BYTES = 2.065e9  # of the rating files
FACTORED_BYTES = 0.288e9  # of the published file
# Between the two larger sizes, so that the start of a process does not count.
_FEWER_SCORED = 847_700_080 // NUM_MOVIES
TRAIN_CPU_S_A_USER = (80.7 - 12.6) / (
    _NUM_SCORED - _FEWER_SCORED
)  # of the one epoch, and around it
FACTORED_CPU_S_A_PREDICTION = (40.5 - 5.3) / (NUM_PREDICTIONS - 847_700_080)
FACTORED_BYTES_A_USER = (FACTORED_BYTES - 0.038e9) / (_NUM_SCORED - _FEWER_SCORED)
FACTORED_S = 23.5
FACTORED = 16  # times as many users a shard as of dense predictions
USERS_A_SHARD = 2**23 // (NUM_MOVIES // FACTORED)  # the default of score.shard_cells

# "A training step": 128-256-256 in batches of 1,024, on two cores.
TRAINED_USERS_A_SECOND = 76_098

# "Dense predictions": of two cores, process start and publication among them.
DENSE_A_SECOND = 44.8e6
DENSE_BYTES_A_PREDICTION = 1.17

# "Everybody's best movies": of two cores, at width 128 and 20,000 users.
TOP_N_USERS_A_SECOND = 49_956
WIDTH = 128

# In no table: `python -m benchmarks.simulate_night --measure HOME` printed them, of 20,000 users
# and 2,000 movies, predictions `factored`.
PREPARE_S, PUBLISH_S, START_S = 0.23, 0.44, 0.56
OPEN_S, COMMIT_S = 0.017, 0.035  # of a shard

NUM_CORES = 2  # of the machine that the tables were made on
