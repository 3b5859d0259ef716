"""What is trained where: plans, memory, executors, replays."""
