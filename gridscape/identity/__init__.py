"""What makes two things the same: data and code by content, live objects by identity."""
