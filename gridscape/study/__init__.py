"""What a study is, what may stand in it, what its names mean, and what is wrong with it."""
