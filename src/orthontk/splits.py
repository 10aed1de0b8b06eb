"""The splits of the data for which τ, the learning speed, can be measured."""

TAU_SPLITS = ("train", "test")
