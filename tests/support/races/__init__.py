"""Many clients book at once, are killed and paused, and every trace they leave is checked."""
